//! A request of HTTP/1.x, as far as a server of one page has to understand it (RFC 9112).

/// Most bytes of a request up to its empty line.
pub(super) const LONGEST: usize = 8 << 10;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// Only the head of the answer.
    pub(super) head: bool,
    /// Whether it takes OpenMetrics.
    pub(super) open_metrics: bool,
}

/// Why the page is not the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no request of HTTP/1.x.
    Bad,
    /// There is no such page.
    NotFound,
    /// It asks for another thing than to read.
    Method,
}

impl Refusal {
    /// The status, a further header, and the text.
    pub(super) const fn answer(&self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Bad => ("400 Bad Request", "", "this is no request of HTTP/1.1\n"),
            Self::NotFound => ("404 Not Found", "", "there is only /metrics here\n"),
            Self::Method => {
                ("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "only GET and HEAD are answered\n")
            }
        }
    }
}

/// Whether `bytes` have the empty line that ends the headers.
pub(super) fn is_whole(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|end| end == b"\r\n\r\n") || bytes.windows(2).any(|end| end == b"\n\n")
}

/// Reads the line and the headers of a request.
pub(super) fn read(bytes: &[u8]) -> Result<Asked, Refusal> {
    let text = str::from_utf8(bytes).map_err(|_| Refusal::Bad)?;
    let mut lines = text.lines();
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, page, version] = words[..] else { return Err(Refusal::Bad) };
    if !version.starts_with("HTTP/1.") {
        return Err(Refusal::Bad);
    }
    let head = match method {
        "GET" => false,
        "HEAD" => true,
        _ => return Err(Refusal::Method),
    };
    if page.split('?').next() != Some("/metrics") {
        return Err(Refusal::NotFound);
    }
    let open_metrics = lines.filter_map(|line| line.split_once(':')).any(|(name, value)| {
        name.eq_ignore_ascii_case("accept") && value.contains("application/openmetrics-text")
    });
    Ok(Asked { head, open_metrics })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let get = |open_metrics| Ok(Asked { head: false, open_metrics });
        for (text, want) in [
            ("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", get(false)),
            ("GET /metrics?a=b HTTP/1.0\n\n", get(false)),
            (
                "GET /metrics HTTP/1.1\r\nACCEPT: text/plain;q=0.5,application/openmetrics-text;version=1.0.0\r\n\r\n",
                get(true),
            ),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", Ok(Asked { head: true, open_metrics: false })),
            ("POST /metrics HTTP/1.1\r\n\r\n", Err(Refusal::Method)),
            ("GET / HTTP/1.1\r\n\r\n", Err(Refusal::NotFound)),
            ("GET /metrics/../x HTTP/1.1\r\n\r\n", Err(Refusal::NotFound)),
            ("GET /metrics HTTP/2\r\n\r\n", Err(Refusal::Bad)),
            ("GET /metrics\r\n\r\n", Err(Refusal::Bad)),
            ("\r\n\r\n", Err(Refusal::Bad)),
            ("", Err(Refusal::Bad)),
        ] {
            assert_eq!(read(text.as_bytes()), want, "{text:?}");
        }
        assert_eq!(read(b"GET /\xff HTTP/1.1\r\n\r\n"), Err(Refusal::Bad));
    }

    #[test]
    fn the_end_of_a_request() {
        assert!(is_whole(b"GET / HTTP/1.1\r\n\r\n") && is_whole(b"a\n\n"));
        assert!(!is_whole(b"GET / HTTP/1.1\r\n") && !is_whole(b""));
    }
}
