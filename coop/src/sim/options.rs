//! How the simulated network behaves.

use crate::ring::Behaviour;
use std::ops::Range;
use std::time::Duration;

/// How a simulated network behaves between hosts. Within a host packets take some microseconds, and none is lost.
///
/// ```
/// use coop::sim::{self, NetOptions};
/// use std::time::Duration;
/// let slow = NetOptions::new().delay(Duration::from_millis(40)..Duration::from_millis(60)).datagram_loss(0.1);
/// sim::Builder::new().seed(7).net(slow).run(|| {
///     assert_eq!(sim::net().options().datagram_loss, 0.1);
/// });
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NetOptions {
    /// How long a packet is on its way. The packets of one stream stay in order; streams overtake each other, and datagrams. 0.1 to
    /// 2 ms unless said otherwise.
    pub delay: Range<Duration>,
    /// How many bytes a second go over a link; a longer packet is on its way for longer. Without limit unless said otherwise.
    pub bandwidth: Option<u64>,
    /// The probability that a packet of a stream, of at most 16 KiB, is the end of its connection: both sides see a reset. 0 unless
    /// said otherwise.
    pub reset: f64,
    /// The probability that a datagram is lost. 0 unless said otherwise.
    pub datagram_loss: f64,
    /// The probability that a datagram comes twice. 0 unless said otherwise.
    pub datagram_duplication: f64,
}

impl Default for NetOptions {
    fn default() -> Self {
        Self::of(&Behaviour::default())
    }
}

impl NetOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long a packet is on its way.
    pub fn delay(self, delay: Range<Duration>) -> Self {
        NetOptions { delay, ..self }
    }

    /// How many bytes a second go over a link.
    pub fn bandwidth(self, bytes_per_second: u64) -> Self {
        NetOptions { bandwidth: Some(bytes_per_second), ..self }
    }

    /// The probability that a packet of a stream is the end of its connection.
    pub fn reset(self, probability: f64) -> Self {
        NetOptions { reset: probability, ..self }
    }

    /// The probability that a datagram is lost.
    pub fn datagram_loss(self, probability: f64) -> Self {
        NetOptions { datagram_loss: probability, ..self }
    }

    /// The probability that a datagram comes twice.
    pub fn datagram_duplication(self, probability: f64) -> Self {
        NetOptions { datagram_duplication: probability, ..self }
    }

    pub(super) fn of(behaviour: &Behaviour) -> Self {
        let Behaviour { delay, bandwidth, reset, loss, duplication } = behaviour;
        NetOptions {
            delay: Duration::from_nanos(delay.start)..Duration::from_nanos(delay.end),
            bandwidth: *bandwidth,
            reset: *reset,
            datagram_loss: *loss,
            datagram_duplication: *duplication,
        }
    }

    pub(super) fn behaviour(&self) -> Behaviour {
        // A year is for ever.
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX).min(1 << 55);
        Behaviour {
            delay: nanos(self.delay.start)..nanos(self.delay.end),
            bandwidth: self.bandwidth,
            reset: self.reset,
            loss: self.datagram_loss,
            duplication: self.datagram_duplication,
        }
    }
}
