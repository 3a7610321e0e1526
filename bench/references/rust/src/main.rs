//! The yardstick: the same promise in idiomatic Rust. hyper reads, serde checks every event, a write key
//! is looked up, the batch is appended to a log with group commit, and the answer goes out after fdatasync.
//!
//!     reference PORT FILE KEY…
//!
//! What it leaves out is in Millrace's figure: duplicates, refused events one by one, the tenant index,
//! metrics, time limits, CORS, the grammar of times. Segments of 64 MiB; old ones are removed.
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{remove_file, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::mpsc::{channel, Receiver};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;

const SEGMENT_BYTES: usize = 64 << 20;
const EVENTS_MAX: usize = 500;

#[derive(serde::Deserialize)]
#[allow(dead_code)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow)]
    event_type: Cow<'a, str>,
    #[serde(borrow)]
    timestamp: Cow<'a, str>,
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow, default)]
    browser: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    target: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    data: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, default)]
    visitor_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    session_id: Option<Cow<'a, str>>,
    #[serde(default)]
    seq: Option<u32>,
}

impl Event<'_> {
    fn is_valid(&self) -> bool {
        (1..=64).contains(&self.event_type.len())
            && (1..=40).contains(&self.timestamp.len())
            && (1..=2048).contains(&self.path.len())
            && self.browser.as_ref().map_or(true, |text| text.len() <= 512)
            && self.target.as_ref().map_or(true, |text| text.len() <= 1024)
            && self.visitor_id.as_ref().map_or(true, |text| text.len() <= 128)
            && self.session_id.as_ref().map_or(true, |text| text.len() <= 128)
            && self.data.map_or(true, |data| data.get().starts_with('{'))
    }
}

struct Waiting {
    source: u32,
    body: Bytes,
    done: oneshot::Sender<()>,
}

/// One write and one sync for all that waits, then their answers.
fn run_log(path: String, queue: Receiver<Waiting>) {
    let mut number = 0;
    let mut file = File::create(format!("{path}.{number}")).unwrap();
    let mut written = 0;
    let mut slab = Vec::new();
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        while let Ok(next) = queue.try_recv() {
            group.push(next);
        }
        slab.clear();
        for Waiting { source, body, .. } in &group {
            slab.extend_from_slice(&(body.len() as u32).to_le_bytes());
            slab.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
            slab.extend_from_slice(&source.to_le_bytes());
            slab.extend_from_slice(body);
        }
        file.write_all(&slab).unwrap();
        assert_eq!(unsafe { libc::fdatasync(file.as_raw_fd()) }, 0);
        written += slab.len();
        for Waiting { done, .. } in group {
            let _ = done.send(());
        }
        if written > SEGMENT_BYTES {
            number += 1;
            file = File::create(format!("{path}.{number}")).unwrap();
            written = 0;
            let _ = remove_file(format!("{path}.{}", number - 1));
        }
    }
}

/// How many events the body holds; 0 when one of them is not valid.
fn valid_events(body: &[u8]) -> usize {
    match serde_json::from_slice::<Vec<Event>>(body) {
        Ok(events) if events.len() <= EVENTS_MAX && events.iter().all(Event::is_valid) => events.len(),
        _ => 0,
    }
}

fn source_of(sources: &HashMap<String, u32>, request: &Request<Incoming>) -> Option<u32> {
    let query = request.uri().query()?;
    let key = query.split('&').find_map(|pair| pair.strip_prefix("key="))?;
    sources.get(key).copied()
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().unwrap().parse().unwrap();
    let path = arguments.next().unwrap();
    let sources: Rc<HashMap<String, u32>> = Rc::new(arguments.zip(1..).collect());
    let (log, queue) = channel::<Waiting>();
    std::thread::spawn(move || run_log(path, queue));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).ok();
            let (log, sources) = (log.clone(), sources.clone());
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (log, sources) = (log.clone(), sources.clone());
                    async move {
                        let source = source_of(&sources, &request);
                        let body = request.into_body().collect().await?.to_bytes();
                        let count = valid_events(&body);
                        let (status, text) = match (source, count) {
                            (None, _) => (401, String::new()),
                            (_, 0) => (400, String::new()),
                            (Some(source), count) => {
                                let (done, durable) = oneshot::channel();
                                log.send(Waiting { source, body, done }).unwrap();
                                durable.await.unwrap();
                                (202, format!("{{\"accepted\":{count},\"rejected\":[],\"duplicate\":false}}"))
                            }
                        };
                        let answer = Response::builder()
                            .status(status)
                            .header("content-type", "application/json")
                            .body(Full::new(Bytes::from(text)))
                            .unwrap();
                        Ok::<_, hyper::Error>(answer)
                    }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(socket), service)
                    .await;
            });
        }
    });
}
