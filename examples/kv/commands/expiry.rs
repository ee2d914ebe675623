//! Deadlines: setting, asking, removing.
//!
//! Times come from the client as seconds or milliseconds, from now or from the epoch. All are kept as milliseconds from
//! the epoch, and are refused when that overflows an `i64`, as Redis does.

use super::{Call, integer};
use crate::{
    resp,
    store::{Millis, NEVER},
};

/// How a client counts time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds from now.
    Seconds,
    /// Milliseconds from now.
    Millis,
    /// Seconds from the epoch.
    UnixSeconds,
    /// Milliseconds from the epoch.
    UnixMillis,
}

impl Unit {
    /// The unit that an option of `SET` announces.
    pub(super) fn of_option(name: &[u8]) -> Option<Self> {
        let units: [(&[u8], Self); 4] =
            [(b"EX", Self::Seconds), (b"PX", Self::Millis), (b"EXAT", Self::UnixSeconds), (b"PXAT", Self::UnixMillis)];
        units.into_iter().find(|(option, _)| option.eq_ignore_ascii_case(name)).map(|(_, unit)| unit)
    }

    /// `time` as milliseconds from the epoch.
    fn deadline(self, time: i64, now: Millis) -> Option<i64> {
        let now = now as i64; // fits for the next 292 million years
        match self {
            Self::Seconds => time.checked_mul(1000)?.checked_add(now),
            Self::Millis => time.checked_add(now),
            Self::UnixSeconds => time.checked_mul(1000),
            Self::UnixMillis => Some(time),
        }
    }

    /// The deadline in argument `index`, whose time must be positive; if it is not one, the error is the reply.
    pub(super) fn positive_deadline(self, call: &mut Call<'_>, index: usize, command: &str) -> Option<Millis> {
        let time = integer(call, index)?;
        let deadline = self.deadline(time, call.now).filter(|_| time > 0);
        if deadline.is_none() {
            invalid_time(call, command);
        }
        deadline.map(i64::cast_unsigned)
    }
}

fn invalid_time(call: &mut Call<'_>, command: &str) {
    resp::error(call.out, &[b"ERR invalid expire time in '", command.as_bytes(), b"' command"]);
}

pub(super) fn expire(call: &mut Call<'_>) {
    expire_in(call, Unit::Seconds, "expire");
}

pub(super) fn pexpire(call: &mut Call<'_>) {
    expire_in(call, Unit::Millis, "pexpire");
}

pub(super) fn expireat(call: &mut Call<'_>) {
    expire_in(call, Unit::UnixSeconds, "expireat");
}

pub(super) fn pexpireat(call: &mut Call<'_>) {
    expire_in(call, Unit::UnixMillis, "pexpireat");
}

/// On which condition `EXPIRE` sets the deadline.
#[derive(Default)]
struct Condition {
    /// There is none yet.
    none: bool,
    /// There is one already.
    some: bool,
    /// The new one is later. No deadline counts as the latest.
    later: bool,
    /// The new one is earlier.
    earlier: bool,
}

impl Condition {
    /// The condition in the arguments from 3 on; if they make none, the error is the reply.
    fn parse(call: &mut Call<'_>) -> Option<Self> {
        let mut condition = Self::default();
        for option in call.request.args(3) {
            match &option.to_ascii_uppercase()[..] {
                b"NX" => condition.none = true,
                b"XX" => condition.some = true,
                b"GT" => condition.later = true,
                b"LT" => condition.earlier = true,
                _ => {
                    let shown = super::printable(option, option.len());
                    resp::error(call.out, &[b"ERR Unsupported option ", shown]);
                    return None;
                }
            }
        }
        let Self { none, some, later, earlier } = condition;
        let conflict: &[u8] = if none && (some || later || earlier) {
            b"ERR NX and XX, GT or LT options at the same time are not compatible"
        } else if later && earlier {
            b"ERR GT and LT options at the same time are not compatible"
        } else {
            return Some(condition);
        };
        resp::error(call.out, &[conflict]);
        None
    }

    fn holds(&self, current: Millis, new: i64) -> bool {
        // NEVER is larger than any i64, which is the order that GT and LT want.
        let later = new > 0 && new.cast_unsigned() > current;
        let earlier = new < 0 || new.cast_unsigned() < current;
        (!self.none || current == NEVER)
            && (!self.some || current != NEVER)
            && (!self.later || later)
            && (!self.earlier || earlier)
    }
}

fn expire_in(call: &mut Call<'_>, unit: Unit, command: &str) {
    let Some(condition) = Condition::parse(call) else {
        return;
    };
    let Some(time) = integer(call, 2) else { return };
    let Some(deadline) = unit.deadline(time, call.now) else {
        return invalid_time(call, command);
    };
    let key = call.request.arg(1);
    let Some(current) = call.store.deadline(key, call.now) else {
        return resp::number(call.out, 0);
    };
    if !condition.holds(current, deadline) {
        return resp::number(call.out, 0);
    }
    match Millis::try_from(deadline) {
        Ok(deadline) if deadline > call.now => call.store.set_deadline(key, deadline, call.now),
        _ => {
            call.store.remove(key, call.now);
        }
    }
    resp::number(call.out, 1);
}

pub(super) fn ttl(call: &mut Call<'_>) {
    time_left(call, |millis| (millis + 500) / 1000);
}

pub(super) fn pttl(call: &mut Call<'_>) {
    time_left(call, |millis| millis);
}

fn time_left(call: &mut Call<'_>, in_unit: fn(Millis) -> Millis) {
    let left = match call.store.deadline(call.request.arg(1), call.now) {
        None => -2,
        Some(NEVER) => -1,
        Some(deadline) => in_unit(deadline - call.now).cast_signed(),
    };
    resp::number(call.out, left);
}

pub(super) fn persist(call: &mut Call<'_>) {
    let key = call.request.arg(1);
    let had = call.store.deadline(key, call.now).is_some_and(|deadline| deadline != NEVER);
    if had {
        call.store.set_deadline(key, NEVER, call.now);
    }
    resp::number(call.out, i64::from(had));
}

#[cfg(test)]
mod tests {
    use crate::{
        commands,
        resp::{self, Args, Parsed},
        store::{Millis, Store},
    };

    const NOW: Millis = 1_700_000_000_000;

    /// Runs one inline command at `now`.
    fn run(store: &mut Store, now: Millis, line: &str) -> String {
        let (mut args, mut out) = (Args::default(), Vec::new());
        let line = format!("{line}\r\n");
        assert_eq!(resp::parse(line.as_bytes(), &mut args), Parsed::Complete { consumed: line.len() });
        let request = args.request(line.as_bytes());
        if let Some(command) = commands::resolve(request, &mut out) {
            command.run(request, store, now, &mut out);
        }
        String::from_utf8_lossy(&out).trim_end().replace("\r\n", " ")
    }

    #[test]
    fn time_left_goes_down_to_the_end() {
        for set in ["SET k v EX 10", "SET k v PX 10000", "SET k v EXAT 1700000010", "SET k v PXAT 1700000010000"] {
            let mut store = Store::new();
            assert_eq!(run(&mut store, NOW, set), "+OK");
            // TTL rounds to the nearest second, as Redis does.
            let moments = [(0, ":10", ":10000"), (1, ":10", ":9999"), (501, ":9", ":9499"), (9_999, ":0", ":1")];
            for (after, seconds, millis) in moments {
                assert_eq!(run(&mut store, NOW + after, "TTL k"), seconds, "{set}, {after} ms later");
                assert_eq!(run(&mut store, NOW + after, "PTTL k"), millis, "{set}, {after} ms later");
                assert_eq!(run(&mut store, NOW + after, "GET k"), "$1 v");
            }
            assert_eq!(run(&mut store, NOW + 10_000, "PTTL k"), ":-2");
            assert_eq!(run(&mut store, NOW + 10_000, "GET k"), "$-1");
        }
    }

    #[test]
    fn every_way_to_set_a_deadline_agrees() {
        let ways = ["EXPIRE k 7", "PEXPIRE k 7000", "EXPIREAT k 1700000007", "PEXPIREAT k 1700000007000"];
        for way in ways.iter().chain(&["SETEX k 7 v", "PSETEX k 7000 v"]) {
            let mut store = Store::new();
            run(&mut store, NOW, "SET k v");
            run(&mut store, NOW, way);
            assert_eq!(store.next_expiry(), Some(NOW + 7000), "{way}");
        }
    }

    #[test]
    fn writing_in_place_keeps_the_deadline_and_replacing_removes_it() {
        let mut store = Store::new();
        run(&mut store, NOW, "SET k 1 PX 500");
        for command in ["INCR k", "APPEND k 0", "SET k 5 KEEPTTL", "DECRBY k 2", "SET k 5 XX KEEPTTL GET"] {
            run(&mut store, NOW, command);
            assert_eq!(run(&mut store, NOW, "PTTL k"), ":500", "{command}");
        }
        for command in ["SET k 1", "MSET k 1", "GETSET k 1", "PERSIST k"] {
            run(&mut store, NOW, "PEXPIRE k 500");
            run(&mut store, NOW, command);
            assert_eq!(run(&mut store, NOW, "PTTL k"), ":-1", "{command}");
        }
    }

    #[test]
    fn an_expired_key_is_new_to_every_command() {
        let later = NOW + 500;
        let cases = [
            ("INCR k", ":1"),
            ("APPEND k x", ":1"),
            ("SET k w NX", "+OK"),
            ("SET k w XX", "$-1"),
            ("SET k w GET", "$-1"),
            ("SETNX k w", ":1"),
            ("DEL k", ":0"),
            ("EXISTS k", ":0"),
            ("PERSIST k", ":0"),
            ("EXPIRE k 10", ":0"),
            ("GETDEL k", "$-1"),
            ("TYPE k", "+none"),
            ("STRLEN k", ":0"),
            ("MGET k k", "*2 $-1 $-1"),
        ];
        for (command, reply) in cases {
            let mut store = Store::new();
            run(&mut store, NOW, "SET k 41 PX 500");
            assert_eq!(run(&mut store, later, command), reply, "{command}");
            assert!(!run(&mut store, later, "PTTL k").starts_with(":5"), "{command}");
        }
    }
}
