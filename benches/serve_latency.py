"""Milliseconds for one text through `examples/serve`, one client after the other and several at once.

cargo run --release --example serve -- --model target/intents/model
python benches/serve_latency.py [CLIENTS] [REQUESTS]
"""
import http.client
import json
import sys
import threading
import time

clients = int(sys.argv[1]) if len(sys.argv) > 1 else 1
requests = int(sys.argv[2]) if len(sys.argv) > 2 else 500
texts = ["how is the weather in boston", "please transfer fifty dollars to my savings", "what is my balance"]
times, refused, lock = [], 0, threading.Lock()


def client(number):
    global refused
    connection = http.client.HTTPConnection("127.0.0.1", 3000)
    for i in range(requests):
        body = json.dumps({"texts": [texts[(number + i) % len(texts)]]})
        start = time.perf_counter()
        connection.request("POST", "/predict", body)
        answer = connection.getresponse()
        answer.read()
        with lock:
            if answer.status == 200:
                times.append((time.perf_counter() - start) * 1e3)
            else:
                refused += 1


start = time.perf_counter()
threads = [threading.Thread(target=client, args=(i,)) for i in range(clients)]
[t.start() for t in threads]
[t.join() for t in threads]
times.sort()
at = lambda share: times[min(int(share * len(times)), len(times) - 1)]
rate = len(times) / (time.perf_counter() - start)
print(f"{clients} clients: p50 {at(0.5):.2f} ms, p99 {at(0.99):.2f} ms, {rate:.0f} texts/s, {refused} refused")
