"""A wire of some length to a server on this machine: relay.py LISTEN UPSTREAM SECONDS

Whatever a client sends is handed on SECONDS later, so that each request takes that much longer; what the server
answers is moved from socket to socket within the kernel, as it comes, so that the wire takes hardly any processor
time. A connection that is being made is not held back.
"""

import os
import socket
import sys
import threading
import time

PIECE = 1 << 20


def requests(client, server, seconds):
    """Hands on what the client sends, until it or the server has gone."""
    try:
        while sent := client.recv(PIECE):
            time.sleep(seconds)
            server.sendall(sent)
        server.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def answers(client, server):
    """Moves what the server answers, until it or the client has gone."""
    out, into = os.pipe()
    try:
        while held := os.splice(server.fileno(), into, PIECE):
            while held:
                held -= os.splice(out, client.fileno(), held)
        client.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    finally:
        os.close(out)
        os.close(into)


def serve(client, upstream, seconds):
    with client, socket.create_connection(("127.0.0.1", upstream)) as server:
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asking = threading.Thread(target=requests, args=(client, server, seconds), daemon=True)
        asking.start()
        answers(client, server)
        asking.join()


def main():
    port, upstream, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    with socket.create_server(("127.0.0.1", port), backlog=256) as listener:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, upstream, seconds), daemon=True).start()


main()
