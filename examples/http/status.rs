//! Why a request is not answered with what it asked for.

use std::{fmt, io};

/// The status codes in use, with their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Status {
    Ok = 200,
    PartialContent = 206,
    MovedPermanently = 301,
    NotModified = 304,
    BadRequest = 400,
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    LengthRequired = 411,
    PreconditionFailed = 412,
    ContentTooLarge = 413,
    UriTooLong = 414,
    RangeNotSatisfiable = 416,
    ExpectationFailed = 417,
    HeaderFieldsTooLarge = 431,
    InternalServerError = 500,
    NotImplemented = 501,
    ServiceUnavailable = 503,
    VersionNotSupported = 505,
}

impl Status {
    pub fn code(self) -> u16 {
        self as u16
    }

    pub fn reason(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::PartialContent => "Partial Content",
            Self::MovedPermanently => "Moved Permanently",
            Self::NotModified => "Not Modified",
            Self::BadRequest => "Bad Request",
            Self::Forbidden => "Forbidden",
            Self::NotFound => "Not Found",
            Self::MethodNotAllowed => "Method Not Allowed",
            Self::RequestTimeout => "Request Timeout",
            Self::LengthRequired => "Length Required",
            Self::PreconditionFailed => "Precondition Failed",
            Self::ContentTooLarge => "Content Too Large",
            Self::UriTooLong => "URI Too Long",
            Self::RangeNotSatisfiable => "Range Not Satisfiable",
            Self::ExpectationFailed => "Expectation Failed",
            Self::HeaderFieldsTooLarge => "Request Header Fields Too Large",
            Self::InternalServerError => "Internal Server Error",
            Self::NotImplemented => "Not Implemented",
            Self::ServiceUnavailable => "Service Unavailable",
            Self::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code(), self.reason())
    }
}

/// A request that gets an error page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: Status,
    /// What the page says. Nothing in it is the client's, so nothing needs to be escaped.
    pub why: &'static str,
}

impl Refusal {
    pub const fn new(status: Status, why: &'static str) -> Self {
        Self { status, why }
    }

    pub const fn bad(why: &'static str) -> Self {
        Self::new(Status::BadRequest, why)
    }

    pub const fn not_found() -> Self {
        Self::new(Status::NotFound, "There is nothing by this name.")
    }
}

/// What an error of the file system means to a client.
impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            // EXDEV: the way leads out of the directory.
            Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP | libc::EXDEV | libc::ENAMETOOLONG) => Self::not_found(),
            Some(libc::EACCES | libc::EPERM) => Self::new(Status::Forbidden, "This may not be read."),
            Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => {
                Self::new(Status::ServiceUnavailable, "The server is short of resources. Try again later.")
            }
            _ if coop::Killed::is(&error) => Self::new(Status::ServiceUnavailable, "The server stops."),
            _ => Self::new(Status::InternalServerError, "The file cannot be read."),
        }
    }
}
