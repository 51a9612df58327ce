import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ConcurrentHashMap;

/** Keeps values on the heap of a Java virtual machine, by the commands get and set of memcached's text protocol; listens on a Unix socket. */
public final class Store {
    private static final ConcurrentHashMap<String, byte[]> VALUES = new ConcurrentHashMap<>(2_000_000);

    public static void main(String[] arguments) throws IOException {
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(arguments[0]));
            while (true) {
                SocketChannel client = server.accept();
                Thread thread = new Thread(() -> serve(client));
                thread.setDaemon(true);
                thread.start();
            }
        }
    }

    private static void serve(SocketChannel client) {
        try (client) {
            DataInputStream in = new DataInputStream(new Buffered(client));
            OutputStream out = Channels.newOutputStream(client);
            while (true) {
                String[] words = line(in).split(" ");
                if (words[0].equals("set")) {
                    byte[] value = new byte[Integer.parseInt(words[4])];
                    in.readFully(value);
                    in.readFully(new byte[2]);
                    VALUES.put(words[1], value);
                    out.write(text("STORED\r\n"));
                } else {
                    byte[] value = VALUES.get(words[1]);
                    ByteArrayOutputStream answer = new ByteArrayOutputStream(2048);
                    if (value != null) {
                        answer.writeBytes(text("VALUE " + words[1] + " 0 " + value.length + "\r\n"));
                        answer.writeBytes(value);
                        answer.writeBytes(text("\r\n"));
                    }
                    answer.writeBytes(text("END\r\n"));
                    out.write(answer.toByteArray());
                }
            }
        } catch (IOException end) {
            // The client has gone.
        }
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static String line(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();
        for (int character = in.read(); character != '\n'; character = in.read()) {
            if (character < 0) {
                throw new EOFException();
            }
            line.append((char) character);
        }
        return line.toString().trim();
    }

    /** Reads from a channel by large pieces. */
    private static final class Buffered extends InputStream {
        private final SocketChannel channel;
        private final ByteBuffer buffer = ByteBuffer.allocate(1 << 16).limit(0);

        Buffered(SocketChannel channel) {
            this.channel = channel;
        }

        private boolean isAtEnd() throws IOException {
            if (buffer.hasRemaining()) {
                return false;
            }
            buffer.clear();
            int read = channel.read(buffer);
            buffer.flip();
            return read < 0;
        }

        @Override
        public int read() throws IOException {
            return isAtEnd() ? -1 : buffer.get() & 0xff;
        }

        @Override
        public int read(byte[] bytes, int from, int length) throws IOException {
            if (isAtEnd()) {
                return -1;
            }
            int read = Math.min(length, buffer.remaining());
            buffer.get(bytes, from, read);
            return read;
        }
    }
}
