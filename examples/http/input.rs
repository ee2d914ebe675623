//! What a client has sent and nobody has parsed yet.

/// What an idle client costs.
const INITIAL: usize = 4 * 1024;
/// No head of a request may be longer.
pub const MAX_HEAD: usize = 16 * 1024;

/// Received bytes, in front of the space for more.
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Of the data, how much is known not to end a head.
    seen: usize,
}

impl Input {
    pub fn new() -> Self {
        Self { bytes: vec![0; INITIAL], start: 0, end: 0, seen: 0 }
    }

    /// What has been received and not consumed.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Whether the data may hold a whole head. That it was parsed in vain, and nothing has come since that could end a
    /// head, says that it does not: who sends a head byte by byte does not have it parsed as often.
    pub fn may_be_whole(&self) -> bool {
        self.seen == 0 || has_empty_line(&self.data()[self.seen.saturating_sub(3)..])
    }

    /// Says that the data hold no whole head.
    pub fn set_seen(&mut self) {
        self.seen = self.end - self.start;
    }

    /// Space to receive into; [`filled`](Self::filled) says how much of it was used. `None` when a head has filled all
    /// there may be.
    pub fn space(&mut self) -> Option<&mut [u8]> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.end == self.bytes.len() {
            self.bytes.resize((2 * self.end).min(MAX_HEAD), 0);
        }
        Some(&mut self.bytes[self.end..]).filter(|space| !space.is_empty())
    }

    pub fn filled(&mut self, n: usize) {
        self.end += n;
    }

    /// Gives up the first `n` bytes of the data.
    pub fn consume(&mut self, n: usize) {
        self.start += n;
        self.seen = 0;
    }
}

fn has_empty_line(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == b"\n\n") || bytes.windows(3).any(|three| three == b"\n\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(input: &mut Input, bytes: &[u8]) {
        for byte in bytes {
            input.space().expect("there is space")[0] = *byte;
            input.filled(1);
        }
    }

    #[test]
    fn only_what_may_be_whole_is_parsed_again() {
        let mut input = Input::new();
        let text = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut parsed = 0;
        for byte in text {
            receive(&mut input, &[*byte]);
            if input.may_be_whole() {
                parsed += 1;
                input.set_seen();
            }
        }
        assert_eq!(parsed, 2, "for the first byte, and for the last");
        input.consume(text.len());
        assert!(input.data().is_empty() && input.may_be_whole());
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut input = Input::new();
        receive(&mut input, &[b'x'; MAX_HEAD]);
        assert!(input.space().is_none());
        input.consume(10);
        assert_eq!((input.space().map(|space| space.len()), input.data().len()), (Some(10), MAX_HEAD - 10));
    }
}
