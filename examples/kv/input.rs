//! The query buffer: what a client has sent and nobody has parsed yet.
//!
//! ```text
//!   bytes   │ parsed, free again │ waiting: data() │ free: space() │
//!           0                  start             end            len     all of it initialised
//! ```
//!
//! It grows by doubling, so that memory follows what the client has sent, never what it has announced; it does not grow
//! beyond its limit; and it gives a large value's memory back with the value.

/// Where the buffer starts, and what an idle client costs.
const INITIAL: usize = 16 * 1024;
/// Largest buffer kept when nothing waits in it.
const KEEP: usize = 64 * 1024;
/// Less space than this is not worth a system call while there is more to be had.
const ENOUGH: usize = 4 * 1024;

/// Received bytes, in front of the space for more.
pub struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl Input {
    /// An empty buffer that will hold at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { bytes: vec![0; INITIAL.min(limit)], start: 0, end: 0, limit }
    }

    /// What has been received and not consumed.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Space to receive into; [`filled`](Self::filled) says how much of it was used. `None` when a request has filled
    /// the whole limit, and there is nothing to do but to close.
    pub fn space(&mut self) -> Option<&mut [u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > KEEP {
                self.bytes.truncate(INITIAL);
                self.bytes.shrink_to_fit();
            }
        }
        if self.bytes.len() - self.end < ENOUGH {
            if self.start > 0 {
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            if self.bytes.len() - self.end < ENOUGH {
                let len = (self.bytes.len() * 2).min(self.limit);
                self.bytes.resize(len, 0);
            }
        }
        match &mut self.bytes[self.end..] {
            [] => None,
            space => Some(space),
        }
    }

    /// Says that the first `n` bytes of the space have been received into.
    pub fn filled(&mut self, n: usize) {
        assert!(n <= self.bytes.len() - self.end, "more bytes than there was space for");
        self.end += n;
    }

    /// Gives up the first `n` bytes of the data.
    pub fn consume(&mut self, n: usize) {
        assert!(n <= self.end - self.start, "more bytes than there are");
        self.start += n;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receive(input: &mut Input, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = input.space().expect("within the limit");
            let n = space.len().min(bytes.len());
            space[..n].copy_from_slice(&bytes[..n]);
            input.filled(n);
            bytes = &bytes[n..];
        }
    }

    #[test]
    fn what_goes_in_comes_out_in_order() {
        let mut random = crate::testing::Random::new(3);
        let mut input = Input::new(1 << 20);
        let (mut sent, mut seen) = (0u32, 0u32);
        for _ in 0..5_000 {
            let batch: Vec<u8> = (0..random.below(900)).flat_map(|i| (sent + i as u32).to_le_bytes()).collect();
            sent += batch.len() as u32 / 4;
            receive(&mut input, &batch);
            let whole = input.data().len() / 4;
            for word in input.data().chunks(4).take(random.below(whole + 1)).map(<[u8]>::to_vec).collect::<Vec<_>>() {
                assert_eq!(word, seen.to_le_bytes());
                seen += 1;
                input.consume(4);
            }
        }
        assert!(seen > 1_000_000, "the test must have moved something");
    }

    #[test]
    fn memory_follows_what_was_received_and_is_given_back() {
        let mut input = Input::new(1 << 20);
        receive(&mut input, &[1; 500_000]);
        assert!(input.bytes.len() <= 1 << 20);
        input.consume(500_000);
        assert!(input.space().is_some());
        assert_eq!(input.bytes.capacity(), INITIAL);
    }

    #[test]
    fn there_is_no_space_beyond_the_limit() {
        for limit in [100, INITIAL, INITIAL + 1, 100_000] {
            let mut input = Input::new(limit);
            receive(&mut input, &vec![1; limit]);
            assert!(input.space().is_none());
            input.consume(1);
            assert_eq!(input.space().map(|space| space.len()), Some(1));
        }
    }
}
