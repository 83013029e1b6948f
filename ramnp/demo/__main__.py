"""`python -m ramnp.demo`: see it. A page in your browser where the network looks at what you draw.

The page is served on 127.0.0.1, for this machine alone, until you press Ctrl-C. With --build it is written into a file
instead, which needs neither a server nor a network.

Exit codes: 0 success, Ctrl-C included; 2 usage, or the port is taken; 3 the weights are missing or damaged; 4 the file
could not be written.
"""

import errno
import threading
import webbrowser
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ramnp.cli import Parser, description, run
from ramnp.demo.page import page
from ramnp.errors import UsageError
from ramnp.files import write_atomically

HOST, PORT = "127.0.0.1", 8028


def server(content: bytes, port: int) -> ThreadingHTTPServer:
    """A server with one page, listening.

    Raises:
        UsageError: the port is taken, or not ours to take.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] not in ("/", "/index.html"):
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            with suppress(ConnectionError):  # the browser was closed, or reloads
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing of each request."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise UsageError(
            f"port {port} {reason}: choose another with --port, or let --port 0 find a free one"
        ) from error


def port_number(text: str) -> int:
    """Parse a port: 0 to 65535."""
    if not 0 <= (value := int(text)) <= 65535:
        raise ValueError(text)
    return value


def main(argv: list[str] | None = None) -> int:
    parser = Parser(prog="python -m ramnp.demo", description=description(__doc__))
    parser.add_argument(
        "--port", type=port_number, default=PORT, metavar="N", help=f"the port; 0 for any that is free ({PORT})"
    )
    parser.add_argument("--no-open", action="store_true", help="do not open the browser")
    parser.add_argument("--build", type=Path, metavar="FILE.html", help="write the page into a file, and serve nothing")
    arguments = parser.parse_args(argv)
    content = page().encode()
    if arguments.build:
        write_atomically(arguments.build, lambda file: file.write(content))
        print(f"wrote {arguments.build}: {len(content) / 1e6:.1f} MB")
        return 0
    try:
        with server(content, arguments.port) as listening:
            address = f"http://{HOST}:{listening.server_port}/"
            print(f"The page is at {address} - press Ctrl-C to end.", flush=True)
            if not arguments.no_open:  # in a thread: a browser in the terminal returns only when it is closed
                threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
            listening.serve_forever()
    except KeyboardInterrupt:
        print("\nended")
    return 0


if __name__ == "__main__":
    run(main)
