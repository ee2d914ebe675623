//! What the server answers.

use std::{
    convert::Infallible,
    io::{self, Read},
    time::{Duration, Instant},
};

use coop::future;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Bytes, Incoming},
    header::CONTENT_LENGTH,
};

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

const HELP: &str = "\
GET  /          this text
POST /echo      the body, given back as it comes
GET  /slow/MS   an answer after so many milliseconds
GET  /random/N  N random bytes, read by a task that blocks
GET  /tasks     the tree of tasks that serves you
";

/// The most that is read at once.
const MOST: usize = 1 << 20;

/// Answers one request. Never an error: what is wrong with a request its client is told.
pub async fn answer(request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let (first, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    Ok(match (request.method(), first, rest) {
        (&Method::GET, "", "") => text(StatusCode::OK, HELP),
        (&Method::HEAD, "", "") => headers_of(&text(StatusCode::OK, HELP)),
        (&Method::POST, "echo", "") => Response::new(request.into_body().boxed_unsync()),
        (&Method::GET, "slow", milliseconds) => slow(milliseconds).await,
        (&Method::GET, "random", count) => random(count).await,
        (&Method::GET, "tasks", "") => text(StatusCode::OK, coop::dump()),
        (_, "" | "echo" | "slow" | "random" | "tasks", _) => text(StatusCode::METHOD_NOT_ALLOWED, "not that way\n"),
        _ => text(StatusCode::NOT_FOUND, "there is no such thing here\n"),
    })
}

async fn slow(milliseconds: &str) -> Response<Body> {
    let Ok(milliseconds) = milliseconds.parse() else {
        return text(StatusCode::BAD_REQUEST, "not a number of milliseconds\n");
    };
    let start = Instant::now();
    future::sleep(Duration::from_millis(milliseconds)).await;
    text(StatusCode::OK, format!("{} ms later\n", start.elapsed().as_millis()))
}

/// Code that blocks, in the middle of code that awaits.
async fn random(count: &str) -> Response<Body> {
    let Some(count) = count.parse().ok().filter(|count| *count <= MOST) else {
        return text(StatusCode::BAD_REQUEST, format!("not a number of bytes, {MOST} at most\n"));
    };
    let read = future::in_task(move || -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        coop::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(bytes)
    });
    match read.await {
        Ok(Ok(bytes)) => text(StatusCode::OK, bytes),
        Ok(Err(error)) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
    }
}

/// The answer to HEAD. (Over HTTP/1.1 hyper sends no body then, over HTTP/2 it would.)
fn headers_of(whole: &Response<Body>) -> Response<Body> {
    let mut response = text(whole.status(), "");
    response.headers_mut().insert(CONTENT_LENGTH, whole.size_hint().lower().into());
    response
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(text.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    response
}
