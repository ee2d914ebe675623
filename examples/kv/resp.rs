//! RESP2, the wire format: an incremental parser that copies nothing, and writers of replies.
//!
//! A request is a line of words (`GET a\r\n`) or an array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\na\r\n`).
//! [`parse`] looks at the bytes received so far, from the first byte of the request on, and fills [`Args`] with the
//! places of the arguments in them:
//!
//! ```text
//!   received   *2␍␊$3␍␊GET␍␊$1␍␊a␍␊*2␍␊$3␍␊GE        consumed = 20: the next request begins there
//!                      └─┘     └┘  └── pipelined, incomplete: parse again when more has come
//!   Args               8..11   17..18
//! ```
//!
//! When the request is incomplete, `Args` remembers how far the parser got. Called again with more bytes behind the
//! same ones, it goes on from there: a value of 100 MiB that comes in 16 KiB pieces costs one comparison a piece.
//!
//! The limits and the words of the errors are Redis's (7.0), with two differences. The limit on the arguments of a
//! request is that of Redis up to 6.2: with a query buffer of 1 GiB, Redis 7's (2³¹ - 1) is no limit. And a NUL byte in
//! a line is a byte like any other; Redis's `strchr` never sees the end of such a line, and waits for ever.

/// Longest line: an inline request, or the `*…` or `$…` before something.
const MAX_LINE: usize = 64 * 1024;
/// Most arguments of a request.
const MAX_ARGS: i64 = 1024 * 1024;
/// Longest argument, and longest value.
pub const MAX_BULK: usize = 512 * 1024 * 1024;

/// What [`parse`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole request, of this many bytes. It has no arguments when the client sent an empty line or array, which
    /// Redis passes over in silence.
    Complete {
        /// Where the next request begins.
        consumed: usize,
    },
    /// The request goes on beyond the bytes given.
    Incomplete,
    /// Not RESP. There is no telling where the next request begins: answer, then close.
    Error(Malformed),
}

/// Why bytes are not a request. [`Malformed::reply`] is what Redis says to it.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub enum Malformed {
    /// A line that does not end within 64 KiB.
    InlineTooLong,
    /// A quote that is not closed, or goes on after its end.
    UnbalancedQuotes,
    /// A number of arguments that does not end within 64 KiB.
    CountTooLong,
    /// A number of arguments that is not a number, or too large.
    Count,
    /// A length that does not end within 64 KiB.
    LengthTooLong,
    /// A length that is not a number, negative, or too large.
    Length,
    /// An argument that does not begin with `$`, but with this.
    NotBulk(u8),
}

impl Malformed {
    /// Appends the error reply.
    pub fn reply(self, out: &mut Vec<u8>) {
        let text: &[u8] = match self {
            Self::InlineTooLong => b"too big inline request",
            Self::UnbalancedQuotes => b"unbalanced quotes in request",
            Self::CountTooLong => b"too big mbulk count string",
            Self::Count => b"invalid multibulk length",
            Self::LengthTooLong => b"too big bulk count string",
            Self::Length => b"invalid bulk length",
            Self::NotBulk(got) => return error(out, &[b"ERR Protocol error: expected '$', got '", &[got], b"'"]),
        };
        error(out, &[b"ERR Protocol error: ", text]);
    }
}

/// The arguments of the request being parsed, and how far the parser got. Made once per connection and used again for
/// each request, so that parsing allocates nothing.
#[derive(Default)]
pub struct Args {
    spans: Vec<Span>,
    /// The words of an inline request, unquoted; then `spans` are places in here.
    unquoted: Vec<u8>,
    inline: bool,
    /// Arguments still to come; 0 between requests.
    missing: usize,
    /// Where the parser goes on.
    at: usize,
    /// The length of the argument at `at`, when its `$…` line has been read.
    length: Option<usize>,
    /// The line being read is known not to end before here.
    searched: usize,
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

/// Room for arguments that is kept from one request to the next.
const KEEP_SPANS: usize = 1024;

impl Args {
    /// The arguments of the request that [`parse`] has just found complete in `received`.
    #[inline]
    pub fn request<'a>(&'a self, received: &'a [u8]) -> Request<'a> {
        Request { source: if self.inline { &self.unquoted } else { received }, spans: &self.spans }
    }

    /// The line that begins at `at`, without its marker and its end, and where the next one begins.
    fn line<'a>(&mut self, buf: &'a [u8], at: usize, end: u8, too_long: Malformed) -> Result<(&'a [u8], usize), Parsed> {
        let from = self.searched.max(at);
        let Some(found) = buf[from..].iter().position(|&byte| byte == end).map(|i| from + i) else {
            self.searched = buf.len();
            return Err(if buf.len() - at > MAX_LINE { Parsed::Error(too_long) } else { Parsed::Incomplete });
        };
        self.searched = found;
        if found - at > MAX_LINE {
            return Err(Parsed::Error(too_long));
        }
        // Like Redis, take whatever follows a carriage return for the line feed, but wait for it.
        let next = found + if end == b'\r' { 2 } else { 1 };
        if next > buf.len() {
            return Err(Parsed::Incomplete);
        }
        self.searched = 0;
        Ok((&buf[at..found], next))
    }
}

/// The arguments of one request. The first is the name of the command.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    source: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Request<'a> {
    /// The number of arguments, the name of the command included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether the client sent nothing but an empty line or array.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`, which must be less than [`len`](Self::len).
    #[inline]
    pub fn arg(&self, index: usize) -> &'a [u8] {
        let Span { start, end } = self.spans[index];
        &self.source[start..end]
    }

    /// The arguments from `first` on.
    pub fn args(&self, first: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let Self { source, spans } = *self;
        spans[first.min(spans.len())..].iter().map(move |span| &source[span.start..span.end])
    }
}

/// Parses one request from `buf`, which begins with its first byte.
///
/// After [`Parsed::Incomplete`], call again with the same bytes and more behind them, and the same `args`.
#[inline]
pub fn parse(buf: &[u8], args: &mut Args) -> Parsed {
    if args.missing == 0 {
        match buf.first() {
            None => return Parsed::Incomplete,
            Some(b'*') => {}
            Some(_) => return parse_inline(buf, args),
        }
        let (count, next) = match short_number(buf, 1) {
            Some(found) => found,
            None => match long_count(buf, args) {
                Ok(found) => found,
                Err(parsed) => return parsed,
            },
        };
        args.spans.clear();
        args.spans.shrink_to(KEEP_SPANS);
        args.inline = false;
        args.missing = count;
        args.at = next;
    }
    let mut at = args.at;
    while args.missing > 0 {
        let (length, start) = match args.length.take() {
            Some(length) => (length, at),
            None => match (buf.get(at), short_number(buf, at + 1)) {
                (Some(b'$'), Some(found)) => found,
                _ => match long_length(buf, args, at) {
                    Ok(found) => found,
                    Err(parsed) => {
                        args.at = at;
                        return parsed;
                    }
                },
            },
        };
        let end = start + length;
        if buf.len() < end + 2 {
            args.at = start;
            args.length = Some(length);
            return Parsed::Incomplete;
        }
        args.spans.push(Span { start, end });
        args.missing -= 1;
        at = end + 2; // like Redis, without a look at the two bytes
    }
    args.searched = 0;
    Parsed::Complete { consumed: at }
}

/// The number of up to three digits that stands at `at` with its line end, and what is behind it. `None` means nothing
/// but that the general functions below must look.
#[inline(always)]
fn short_number(buf: &[u8], at: usize) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte - b'0');
    match *buf.get(at..)? {
        [a @ b'0'..=b'9', b'\r', _, ..] => Some((digit(a), at + 3)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', _, ..] => Some((digit(a) * 10 + digit(b), at + 4)),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', _, ..] => {
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), at + 5))
        }
        _ => None,
    }
}

/// The number of arguments, from any `*…` line. Zero and less mean an empty request.
#[cold]
fn long_count(buf: &[u8], args: &mut Args) -> Result<(usize, usize), Parsed> {
    let (line, next) = args.line(buf, 0, b'\r', Malformed::CountTooLong)?;
    match integer(&line[1..]) {
        Some(count @ ..=MAX_ARGS) => Ok((usize::try_from(count).unwrap_or(0), next)),
        _ => Err(Parsed::Error(Malformed::Count)),
    }
}

/// The length of an argument, from any `$…` line.
#[cold]
fn long_length(buf: &[u8], args: &mut Args, at: usize) -> Result<(usize, usize), Parsed> {
    let (line, next) = args.line(buf, at, b'\r', Malformed::LengthTooLong)?;
    match line.split_first() {
        Some((b'$', digits)) => match integer(digits).and_then(|length| usize::try_from(length).ok()) {
            Some(length @ ..=MAX_BULK) => Ok((length, next)),
            _ => Err(Parsed::Error(Malformed::Length)),
        },
        // An empty line: what stands at `at` is its end.
        _ => Err(Parsed::Error(Malformed::NotBulk(buf[at]))),
    }
}

fn parse_inline(buf: &[u8], args: &mut Args) -> Parsed {
    let (line, consumed) = match args.line(buf, 0, b'\n', Malformed::InlineTooLong) {
        Ok(found) => found,
        Err(parsed) => return parsed,
    };
    args.spans.clear();
    args.unquoted.clear();
    args.inline = true;
    match split_words(line.strip_suffix(b"\r").unwrap_or(line), args) {
        Some(()) => Parsed::Complete { consumed },
        None => Parsed::Error(Malformed::UnbalancedQuotes),
    }
}

/// Splits a line into words the way of Redis's `sdssplitargs`: bare, `"with \x41 \n escapes"`, or `'with \' only'`.
fn split_words(line: &[u8], args: &mut Args) -> Option<()> {
    let mut rest = line;
    loop {
        while let [byte, tail @ ..] = rest
            && is_space(*byte)
        {
            rest = tail;
        }
        if rest.is_empty() {
            return Some(());
        }
        let start = args.unquoted.len();
        rest = word(rest, &mut args.unquoted)?;
        args.spans.push(Span { start, end: args.unquoted.len() });
    }
}

/// Appends the word that `rest` begins with, and returns what is behind it.
fn word<'a>(mut rest: &'a [u8], unquoted: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [b'"', tail @ ..] => return double_quoted(tail, unquoted),
            [b'\'', tail @ ..] => return single_quoted(tail, unquoted),
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some(rest),
            [byte, tail @ ..] => {
                unquoted.push(*byte);
                rest = tail;
            }
        }
    }
}

fn double_quoted<'a>(mut rest: &'a [u8], unquoted: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'"', tail @ ..] => return after_quote(tail),
            [b'\\', b'x', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let value = |digit: u8| char::from(digit).to_digit(16).map_or(0, |v| v as u8);
                unquoted.push(value(*high) << 4 | value(*low));
                tail
            }
            [b'\\', escaped, tail @ ..] => {
                unquoted.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                tail
            }
            [byte, tail @ ..] => {
                unquoted.push(*byte);
                tail
            }
            [] => return None,
        }
    }
}

fn single_quoted<'a>(mut rest: &'a [u8], unquoted: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        rest = match rest {
            [b'\'', tail @ ..] => return after_quote(tail),
            [b'\\', b'\'', tail @ ..] => {
                unquoted.push(b'\'');
                tail
            }
            [byte, tail @ ..] => {
                unquoted.push(*byte);
                tail
            }
            [] => return None,
        }
    }
}

/// A closing quote must end its word.
fn after_quote(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [byte, ..] if !is_space(*byte) => None,
        _ => Some(rest),
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// Reads a 64-bit integer in the one form Redis takes: no plus sign, no leading zeros, no spaces.
pub fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        b"0" => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits, [b'1'..=b'9', ..]) {
        return None;
    }
    // Counted downwards: the least i64 has no positive twin.
    let value = digits.iter().try_fold(0i64, |value, &byte| match byte {
        b'0'..=b'9' => value.checked_mul(10)?.checked_sub(i64::from(byte - b'0')),
        _ => None,
    })?;
    if negative { Some(value) } else { value.checked_neg() }
}

/// Appends a status: `+OK`.
#[inline]
pub fn simple(out: &mut Vec<u8>, status: &str) {
    out.push(b'+');
    out.extend_from_slice(status.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends `+OK`.
#[inline]
pub fn ok(out: &mut Vec<u8>) {
    out.extend_from_slice(b"+OK\r\n");
}

/// Appends an error made of `parts`; the first begins with its code (`ERR`). Line ends in it, which would end the
/// reply, become spaces.
#[cold]
pub fn error(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.push(b'-');
    let line_end = |byte: u8| byte == b'\r' || byte == b'\n';
    out.extend(parts.iter().flat_map(|part| part.iter()).map(|&byte| if line_end(byte) { b' ' } else { byte }));
    out.extend_from_slice(b"\r\n");
}

/// Appends an integer: `:7`.
#[inline]
pub fn number(out: &mut Vec<u8>, value: i64) {
    prefixed(out, b':', value);
}

/// Appends a bulk string: `$1`, then `a`.
#[inline]
pub fn bulk(out: &mut Vec<u8>, content: &[u8]) {
    match content.len() {
        len @ 0..=9 => out.extend_from_slice(&[b'$', b'0' + len as u8, b'\r', b'\n']),
        len => {
            out.reserve(len + 32);
            prefixed(out, b'$', len as i64);
        }
    }
    out.extend_from_slice(content);
    out.extend_from_slice(b"\r\n");
}

/// Appends an integer as a bulk string.
pub fn bulk_number(out: &mut Vec<u8>, value: i64) {
    bulk(out, itoa::Buffer::new().format(value).as_bytes());
}

/// Appends the absence of a value.
#[inline]
pub fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(b"$-1\r\n");
}

/// Appends the head of an array; its `len` elements follow.
#[inline]
pub fn array(out: &mut Vec<u8>, len: usize) {
    prefixed(out, b'*', len as i64);
}

#[inline]
fn prefixed(out: &mut Vec<u8>, marker: u8, value: i64) {
    out.push(marker);
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    out.extend_from_slice(b"\r\n");
}
