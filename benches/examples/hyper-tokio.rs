//! hyper on tokio, one thread: what `benches/http-vs-hyper.sh` holds the http example against. It answers every GET with one file,
//! which it has in memory, and with the same header fields. Address and file are arguments.

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::rc::Rc;
use tokio::net::TcpListener;

/// The file, and what is said of it.
struct Site {
    target: String,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Site {
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET || request.uri().path() != self.target {
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return response;
        }
        let mut response = Response::new(Full::new(self.body.clone()));
        // hyper adds the length and the date.
        response.headers_mut().extend(self.fields.iter().cloned());
        response
    }
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err(io::Error::other("usage: hyper-tokio ADDRESS:PORT FILE"));
    };
    let name = file.rsplit('/').next().unwrap_or(&file);
    let value = HeaderValue::from_static;
    let site = Rc::new(Site {
        target: format!("/{name}"),
        fields: vec![
            (header::SERVER, value("hyper")),
            (header::CONTENT_TYPE, value("text/html; charset=utf-8")),
            (header::X_CONTENT_TYPE_OPTIONS, value("nosniff")),
            (header::ACCEPT_RANGES, value("bytes")),
            (header::ETAG, value("\"18c6f1a2b3c4d5e6-400\"")),
            (header::LAST_MODIFIED, value("Mon, 01 Jan 2024 00:00:00 GMT")),
            (header::VARY, value("Accept-Encoding")),
        ],
        body: std::fs::read(&file)?.into(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(address).await?;
        println!("hyper listens at {}", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let site = site.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(|request| {
                    let response = site.answer(&request);
                    async { Ok::<_, Infallible>(response) }
                });
                // A client that has gone is no news.
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}
