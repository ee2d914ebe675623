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
    fn line<'a>(
        &mut self,
        buf: &'a [u8],
        at: usize,
        end: u8,
        too_long: Malformed,
    ) -> Result<(&'a [u8], usize), Parsed> {
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

#[cfg(test)]
#[path = "../tests/fuzz/resp.rs"]
mod fuzz;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    /// What one request is parsed to: its arguments and its length.
    type Outcome = Result<(Vec<Vec<u8>>, usize), Malformed>;

    /// Parses the request at the beginning of `bytes` as they come in, `pieces` at a time; `None` if it is incomplete.
    fn parse_in(bytes: &[u8], pieces: impl Iterator<Item = usize>, args: &mut Args) -> Option<Outcome> {
        let mut received = 0usize;
        for piece in pieces.chain([usize::MAX]) {
            received = bytes.len().min(received.saturating_add(piece));
            match parse(&bytes[..received], args) {
                Parsed::Complete { consumed } => {
                    let request = args.request(&bytes[..received]);
                    return Some(Ok((request.args(0).map(<[u8]>::to_vec).collect(), consumed)));
                }
                Parsed::Error(malformed) => return Some(Err(malformed)),
                Parsed::Incomplete => {}
            }
        }
        None
    }

    fn whole(bytes: &[u8]) -> Option<Outcome> {
        parse_in(bytes, std::iter::empty(), &mut Args::default())
    }

    fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.to_vec()).collect()
    }

    fn array_of(arguments: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = Vec::new();
        array(&mut bytes, arguments.len());
        for argument in arguments {
            bulk(&mut bytes, argument);
        }
        bytes
    }

    #[test]
    fn requests_and_their_arguments() {
        let long = [b'x'; 1000];
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"*1\r\n$4\r\nPING\r\n", &[b"PING"]),
            (b"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", &[b"GET", b""]),
            (b"*2\r\n$4\r\n\r\n\r\n\r\n$1\r\n\0\r\n", &[b"\r\n\r\n", b"\0"]),
            (&array_of(&words(&[b"SET", &long[..9], &long[..10]])), &[b"SET", &long[..9], &long[..10]]),
            (&array_of(&words(&[&long[..99], &long[..100], &long])), &[&long[..99], &long[..100], &long]),
            (&array_of(&vec![b"a".to_vec(); 12]), &[&b"a"[..]; 12]),
            (&array_of(&vec![b"a".to_vec(); 1234]), &[&b"a"[..]; 1234]),
            (b"*0\r\n", &[]),
            (b"*-7\r\n", &[]),
            (b"\r\n", &[]),
            (b"\n", &[]),
            (b"  get\t a \r\n", &[b"get", b"a"]),
            (b"a\"b c\" 'd \\' e' \"\\x41\\n\\q\\\\\"\n", &[b"ab c", b"d ' e", b"A\nq\\"]),
            (b"a\rb\r\r\n", &[b"a", b"b"]),
            (b"\"\\xZ1\" '\\x41'\n", &[b"xZ1", b"\\x41"]),
        ];
        for (bytes, arguments) in cases {
            let expected = Some(Ok((words(arguments), bytes.len())));
            assert_eq!(whole(bytes), expected, "{}", bytes.escape_ascii());
            let followed = [bytes, &b"*1\r\n$4\r\nPING\r\n"[..]].concat();
            assert_eq!(whole(&followed), expected, "{}, with more behind it", bytes.escape_ascii());
            for cut in 0..bytes.len() {
                assert_eq!(whole(&bytes[..cut]), None, "{}, cut at {cut}", bytes.escape_ascii());
                let split = parse_in(bytes, [cut].into_iter(), &mut Args::default());
                assert_eq!(split, expected, "{}, split at {cut}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn malformed_requests() {
        let cases: &[(&[u8], Malformed)] = &[
            (b"*x\r\n", Malformed::Count),
            (b"*\r\n", Malformed::Count),
            (b"*1 \r\n", Malformed::Count),
            (b"*01\r\n", Malformed::Count),
            (b"*1048577\r\n", Malformed::Count),
            (b"*1\r\nx\r\n", Malformed::NotBulk(b'x')),
            (b"*1\r\n\r\n", Malformed::NotBulk(b'\r')),
            (b"*2\r\n$1\r\na\r\n*1\r\n", Malformed::NotBulk(b'*')),
            (b"*1\r\n$\r\n", Malformed::Length),
            (b"*1\r\n$-1\r\n", Malformed::Length),
            (b"*1\r\n$00\r\n", Malformed::Length),
            (b"*1\r\n$536870913\r\n", Malformed::Length),
            (b"*1\r\n$18446744073709551616\r\n", Malformed::Length),
            (b"a \"\n", Malformed::UnbalancedQuotes),
            (b"a 'b\\'\n", Malformed::UnbalancedQuotes),
            (b"a \"b\\\n", Malformed::UnbalancedQuotes),
            (b"'a'b\n", Malformed::UnbalancedQuotes),
        ];
        for (bytes, malformed) in cases {
            for cut in 0..bytes.len() {
                assert_eq!(whole(&bytes[..cut]), None, "{}, cut at {cut}", bytes.escape_ascii());
                let split = parse_in(bytes, [cut].into_iter(), &mut Args::default());
                assert_eq!(split, Some(Err(*malformed)), "{}, split at {cut}", bytes.escape_ascii());
            }
        }
    }

    #[test]
    fn the_largest_of_everything_is_accepted() {
        assert_eq!(whole(b"*1048576\r\n"), None);
        assert_eq!(whole(b"*1\r\n$536870912\r\n"), None);
        let line = [vec![b'x'; MAX_LINE], b"\n".to_vec()].concat();
        assert_eq!(whole(&line), Some(Ok((vec![vec![b'x'; MAX_LINE]], MAX_LINE + 1))));
    }

    #[test]
    fn lines_too_long_are_refused_however_they_come() {
        let cases =
            [("x", Malformed::InlineTooLong), ("*", Malformed::CountTooLong), ("*1\r\n$", Malformed::LengthTooLong)];
        for (begin, malformed) in cases {
            for end in ["", "\r\n"] {
                let bytes = [begin, &"1".repeat(MAX_LINE + 1), end].concat().into_bytes();
                for piece in [usize::MAX, 16 * 1024, 1] {
                    let outcome = parse_in(&bytes, std::iter::repeat_n(piece, bytes.len()), &mut Args::default());
                    assert_eq!(outcome, Some(Err(malformed)), "{begin:?}, {piece} bytes at a time");
                }
            }
        }
    }

    /// One `Args` for all requests of a stream, whose pieces end anywhere, as in a session.
    #[test]
    fn random_streams_in_random_pieces() {
        let mut random = Random::new(42);
        for _ in 0..300 {
            let (mut stream, mut sent) = (Vec::new(), Vec::new());
            for _ in 0..1 + random.below(20) {
                let mut arguments: Vec<Vec<u8>> = Vec::new();
                for _ in 0..random.below(6) {
                    let most = if random.below(20) == 0 { 3000 } else { 12 };
                    let len = random.below(most);
                    arguments.push((0..len).map(|_| random.below(256) as u8).collect());
                }
                if random.below(4) == 0 {
                    // The same in an inline request, each word in quotes with all its bytes escaped.
                    for argument in &arguments {
                        let escaped: String = argument.iter().map(|byte| format!("\\x{byte:02x}")).collect();
                        stream.extend_from_slice(format!("\"{escaped}\" ").as_bytes());
                    }
                    stream.extend_from_slice(b"\r\n");
                } else {
                    stream.extend_from_slice(&array_of(&arguments));
                }
                sent.push(arguments);
            }
            let (mut args, mut start, mut end, mut parsed) = (Args::default(), 0, 0, Vec::new());
            while end < stream.len() {
                end = stream.len().min(end + 1 + random.below(100));
                while let Parsed::Complete { consumed } = parse(&stream[start..end], &mut args) {
                    parsed.push(args.request(&stream[start..end]).args(0).map(<[u8]>::to_vec).collect::<Vec<_>>());
                    start += consumed;
                }
            }
            assert_eq!((parsed, start), (sent, stream.len()));
        }
    }

    /// Mutations of a good request: any outcome is fine, a panic is not, and pieces do not change it.
    #[test]
    fn damaged_requests_do_no_harm() {
        let mut random = Random::new(1);
        let good = b"*3\r\n$3\r\nSET\r\n$12\r\nabcdefghijkl\r\n$1\r\nv\r\nGET \"a\\x41\" 'b'\r\n";
        let alphabet = b"*$\r\n0123456789-\"'\\x a\0\xff";
        for _ in 0..20_000 {
            let mut bytes = good.to_vec();
            for _ in 0..1 + random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = alphabet[random.below(alphabet.len())];
            }
            let one_by_one = parse_in(&bytes, std::iter::repeat_n(1, bytes.len()), &mut Args::default());
            assert_eq!(one_by_one, whole(&bytes), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_large_argument_is_not_read_again_with_each_piece() {
        let mut args = Args::default();
        let mut bytes = b"*2\r\n$3\r\nGET\r\n$1000000\r\n".to_vec();
        assert_eq!(parse(&bytes, &mut args), Parsed::Incomplete);
        let resumed = (args.at, args.length, args.missing);
        assert_eq!(resumed, (bytes.len(), Some(1_000_000), 1), "the parser stands at the argument itself");
        bytes.resize(bytes.len() + 1_000_001, b'x');
        assert_eq!(parse(&bytes, &mut args), Parsed::Incomplete);
        bytes.push(b'x');
        assert_eq!(parse(&bytes, &mut args), Parsed::Complete { consumed: bytes.len() });
        assert_eq!(args.request(&bytes).arg(1).len(), 1_000_000);
    }

    #[test]
    fn integers_have_one_form() {
        let cases = ["0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808"];
        for text in cases {
            assert_eq!(integer(text.as_bytes()), text.parse().ok(), "{text}");
        }
        let not = ["", "-", "+1", "01", "-0", "00", " 1", "1 ", "1.0", "0x1", "9223372036854775808", "1e3", "--1"];
        for text in not {
            assert_eq!(integer(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn replies() {
        let mut out = Vec::new();
        ok(&mut out);
        simple(&mut out, "PONG");
        number(&mut out, -12);
        null(&mut out);
        array(&mut out, 10);
        for len in [0, 9, 10, 12] {
            bulk(&mut out, &b"abcdefghijkl"[..len]);
        }
        error(&mut out, &[b"ERR a\r\nb", b"\n", b"c"]);
        let expected: &[u8] = b"+OK\r\n+PONG\r\n:-12\r\n$-1\r\n*10\r\n\
            $0\r\n\r\n$9\r\nabcdefghi\r\n$10\r\nabcdefghij\r\n$12\r\nabcdefghijkl\r\n-ERR a  b c\r\n";
        assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}
