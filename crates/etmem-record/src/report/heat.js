"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const canvas = document.getElementById("map"), tip = document.getElementById("tip");
const left = 120, right = 190, top_ = 8, gap = 10;
const columns = data.columns.length, rows = data.rows;
const width = Math.max(1, Math.min(64, Math.floor(960 / Math.max(1, columns))));
const height = Math.max(2, Math.min(24, Math.floor(720 / Math.max(1, rows.length))));
const plotWidth = width * columns;

// Where each row is, and its cells one by one.
let y = top_;
for (const row of rows) {
  if (row[2]) y += gap;
  row.y = y;
  y += height;
  row.cells = [];
  for (let i = 0; i < row[4].length; i += 3)
    for (let n = 0; n < row[4][i]; n++) row.cells.push([row[4][i + 1], row[4][i + 2]]);
}
const bottom = y;
const scale = window.devicePixelRatio || 1;
const fullWidth = left + plotWidth + right, fullHeight = bottom + 46;
canvas.width = fullWidth * scale;
canvas.height = fullHeight * scale;
canvas.style.width = fullWidth + "px";
canvas.style.height = fullHeight + "px";
const draw = canvas.getContext("2d");
draw.scale(scale, scale);

const stepOf = share => data.steps.filter(least => share >= least).length;
const colourOf = share => share < 0 ? null : share === 0 ? data.idle : data.colours[stepOf(share) - 1];
for (const row of rows)
  row.cells.forEach((cell, column) => {
    const colour = colourOf(cell[0]);
    if (!colour) return;
    draw.fillStyle = colour;
    draw.fillRect(left + column * width, row.y, width, height);
  });

draw.font = "11px sans-serif";
draw.strokeStyle = "#999";
let labelled = 0, name = null;
for (const row of rows) {
  if (row[2]) {
    name = null;
    draw.setLineDash([3, 4]);
    draw.beginPath();
    draw.moveTo(left, row.y - gap / 2);
    draw.lineTo(left + plotWidth, row.y - gap / 2);
    draw.stroke();
    draw.setLineDash([]);
  }
  if (row.y < labelled) continue;
  labelled = row.y + 14;
  const base = row.y + Math.min(height, 11);
  draw.fillStyle = "#222";
  draw.textAlign = "right";
  draw.fillText(row[0], left - 6, base);
  if (row[3] !== name) {
    draw.textAlign = "left";
    draw.fillStyle = "#555";
    draw.fillText(row[3].split("/").pop().slice(0, 28), left + plotWidth + 6, base);
    name = row[3];
  }
}
draw.fillStyle = "#222";
draw.textAlign = "center";
draw.beginPath();
draw.moveTo(left, bottom + .5);
draw.lineTo(left + plotWidth, bottom + .5);
for (const [place, word] of data.marks) {
  const x = left + place * plotWidth;
  draw.moveTo(x, bottom);
  draw.lineTo(x, bottom + 5);
  draw.fillText(word, x, bottom + 18);
}
draw.stroke();
draw.fillStyle = "#555";
draw.fillText("time since the beginning of the record", left + plotWidth / 2, bottom + 36);
draw.save();
draw.translate(14, (top_ + bottom) / 2);
draw.rotate(-Math.PI / 2);
draw.fillText("address (a row is " + data.row + ")", 0, 0);
draw.restore();

const legend = document.getElementById("legend");
const entry = (colour, word) => {
  const span = document.createElement("span"), swatch = document.createElement("i");
  swatch.style.background = colour;
  span.append(swatch, word);
  legend.append(span);
};
legend.append("Highest share of pages touched between two looks, from: ");
data.colours.forEach((colour, number) => entry(colour, data.words[number] + " %"));
entry(data.idle, "not touched");
entry("#fff", "not in memory");

const percent = share => share === 0 ? "0 %" : (share / 1e4).toPrecision(2).replace(/\.0+$/, "") + " %";
canvas.addEventListener("mousemove", event => {
  const x = event.offsetX, over = event.offsetY;
  const column = Math.floor((x - left) / width);
  const row = rows.find(row => over >= row.y && over < row.y + height);
  const cell = row && row.cells[column];
  if (!cell || cell[0] < 0) { tip.style.display = "none"; return; }
  const [from, to] = data.columns[column];
  tip.textContent = row[0] + "-" + row[1] + " " + row[3] + "\n" + from + " to " + to + "\n" +
    (cell[0] === 0 ? "not touched" : "touched: at most " + percent(cell[0]) + ", " + percent(cell[1]) + " on average");
  tip.style.display = "block";
  tip.style.left = Math.min(x + 14, fullWidth - tip.offsetWidth) + "px";
  tip.style.top = over + 14 + "px";
});
canvas.addEventListener("mouseleave", () => { tip.style.display = "none"; });
