//! The example server under a flood of good, oversized, malformed and slow requests.

mod common;

#[path = "../examples/serve/server.rs"]
mod server;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use counterweight::prelude::*;
use server::{Limits, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

fn limits() -> Limits {
    Limits {
        body: 16 << 10,
        texts: 8,
        characters: 500,
        waiting: 16,
        pass: 32,
        connections: 64,
        seconds: 1.5,
    }
}

fn model() -> Model {
    let recipe = Recipe { epochs: 1, ..common::small("ngram") };
    train(&recipe, &common::intents(), &Device::flex(), &TrainOptions::new()).unwrap().model
}

/// A server of its own, until `stop` is called.
struct Server {
    runtime: Runtime,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<Result<(), String>>,
}

impl Server {
    fn start(model: Model) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let ended = runtime.spawn(async move {
            let stopped = async { drop(stopped.await) };
            serve(listener, model, limits(), stopped).await.map_err(|e| e.to_string())
        });
        Self { runtime, address, stop, ended }
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.runtime.block_on(self.ended).unwrap().unwrap();
    }
}

/// A status and a body, or none when the server closed without an answer.
type Answered = Option<(u16, String)>;

/// Sends the parts with a pause before each but the first.
fn send(address: SocketAddr, parts: &[&[u8]], pause: Duration) -> Answered {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    for (i, part) in parts.iter().enumerate() {
        if i > 0 {
            std::thread::sleep(pause);
        }
        // The server may have closed already.
        if stream.write_all(part).is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

fn head(length: usize) -> String {
    format!(
        "POST /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    )
}

fn post(address: SocketAddr, body: &str) -> Answered {
    send(address, &[head(body.len()).as_bytes(), body.as_bytes()], Duration::ZERO)
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    send(address, &[request.as_bytes()], Duration::ZERO).unwrap()
}

fn question(texts: &[String]) -> String {
    serde_json::json!({ "texts": texts }).to_string()
}

fn classes(body: &str) -> Vec<String> {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let answers = body["answers"].as_array().unwrap();
    answers.iter().map(|a| a["class"].as_str().unwrap().to_owned()).collect()
}

/// Kilobytes that this process holds, where the system says so.
fn memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse().ok())
}

#[test]
fn a_flood_loses_no_answer_and_holds_no_memory() {
    let model = model();
    let splits = common::intents();
    let texts = splits.test.texts();
    let expected: Vec<String> =
        model.classify(texts).unwrap().into_iter().map(|answer| answer.class).collect();
    let server = Server::start(model);
    let address = server.address;
    assert_eq!(get(address, "/health").0, 200);
    // What is kept for good, by threads and allocator, is there before the count.
    for _ in 0..20 {
        post(address, &question(&texts[..8]));
    }
    let before = memory();

    let rounds = 40;
    let good = |client: usize| {
        for round in 0..rounds {
            let start = (client * 31 + round * 7) % (texts.len() - 8);
            let count = 1 + (client + round) % 8;
            let own = &texts[start..start + count];
            // A busy server says so, and is asked again.
            let answer = loop {
                match post(address, &question(own)) {
                    Some((200, body)) => break body,
                    Some((503, _)) => std::thread::sleep(Duration::from_millis(5)),
                    other => panic!("client {client}, round {round}: {other:?}"),
                }
            };
            assert_eq!(classes(&answer), expected[start..start + count]);
        }
    };
    let bad = |client: usize| {
        let long = "a".repeat(501);
        let many: Vec<String> = vec!["weather".to_owned(); 9];
        let large = format!(r#"{{"texts": ["{}"]}}"#, "x".repeat(17 << 10));
        for round in 0..rounds {
            let (body, status, reason) = match (client + round) % 8 {
                0 => (question(std::slice::from_ref(&long)), 422, "501 characters"),
                1 => (question(&many), 422, "9 texts"),
                2 => (large.clone(), 413, "16384 bytes"),
                3 => (r#"{"texts": ["weather"#.to_owned(), 400, "wanted"),
                4 => (r#"{"words": []}"#.to_owned(), 400, "unknown field"),
                5 => (question(&["?!".to_owned()]), 422, "no letter"),
                6 => (question(&[]), 422, "0 texts"),
                _ => ("\u{0}\u{1}".to_owned(), 400, "wanted"),
            };
            match post(address, &body) {
                Some((got, body)) => {
                    assert_eq!(got, status, "{body}");
                    assert!(body.contains(reason), "{body}");
                }
                // The server may close before all of a large body was sent.
                None => assert_eq!(status, 413),
            }
        }
    };
    let slow = |client: usize| {
        let start = Instant::now();
        let body = question(&texts[..1]);
        let head = head(body.len());
        let pause = Duration::from_millis(400);
        let pieces: Vec<&[u8]> = match client % 2 {
            // A body that never ends in time.
            0 => [head.as_bytes()].into_iter().chain(body.as_bytes().chunks(2)).collect(),
            // A head that never ends in time.
            _ => head.as_bytes().chunks(4).collect(),
        };
        let answer = send(address, &pieces[..12.min(pieces.len())], pause);
        assert!(start.elapsed() < Duration::from_secs(10), "held for {:?}", start.elapsed());
        match client % 2 {
            0 => assert_eq!(answer.unwrap().0, 408),
            _ => assert!(answer.is_none_or(|(status, _)| status == 408)),
        }
    };
    let gone = |_: usize| {
        for _ in 0..rounds {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(head(100).as_bytes()).unwrap();
        }
    };
    std::thread::scope(|scope| {
        let mut clients = Vec::new();
        for client in 0..12 {
            clients.push(scope.spawn(move || good(client)));
        }
        for client in 0..6 {
            clients.push(scope.spawn(move || bad(client)));
            clients.push(scope.spawn(move || slow(client)));
            clients.push(scope.spawn(move || gone(client)));
        }
        for client in clients {
            client.join().unwrap();
        }
    });

    if let (Some(before), Some(after)) = (before, memory()) {
        assert!(after < before + (64 << 10), "{before} kB before, {after} kB after");
    }
    let (status, metrics) = get(address, "/metrics");
    assert_eq!(status, 200);
    let value = |name: &str| -> f64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    assert_eq!(value(r#"requests_total{status="200"}"#), f64::from(12 * rounds as u32 + 20));
    assert_eq!(value("waiting "), 0.0);
    assert!(value("passes_total ") <= value("texts_total "));
    for status in [400, 408, 413, 422] {
        assert!(value(&format!(r#"requests_total{{status="{status}"}}"#)) > 0.0, "{status}");
    }
    assert_eq!(get(address, "/nothing").0, 404);
    server.stop();
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn who_asked_before_the_end_is_answered() {
    let server = Server::start(model());
    let address = server.address;
    let clients: Vec<_> = (0..8)
        .map(|i| {
            std::thread::spawn(move || {
                let body = question(&["how is the weather".to_owned()]);
                // Some are in the middle of their body when the server is told to stop.
                let pause = Duration::from_millis(if i % 2 == 0 { 0 } else { 600 });
                send(address, &[head(body.len()).as_bytes(), body.as_bytes()], pause)
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    server.stop();
    for client in clients {
        assert_eq!(client.join().unwrap().unwrap().0, 200);
    }
}
