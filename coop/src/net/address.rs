//! Socket addresses, between Rust's types and the kernel's.

use crate::ring::address_in;
use std::ffi::OsStr;
use std::io;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A `sockaddr` of any family.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Address {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl Address {
    /// Room for an address of any family.
    pub(super) fn empty() -> Self {
        // SAFETY: all-zero is a valid sockaddr_storage.
        let storage = unsafe { MaybeUninit::zeroed().assume_init() };
        Address { storage, len: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    fn holding<T: Copy>(address: T, len: usize) -> Self {
        const { assert!(size_of::<T>() <= size_of::<libc::sockaddr_storage>()) };
        let mut this = Self::empty();
        // SAFETY: the storage is large enough and aligned for every sockaddr.
        unsafe { (&raw mut this.storage).cast::<T>().write(address) };
        this.len = len as libc::socklen_t;
        this
    }

    pub(super) fn ip(address: &SocketAddr) -> Self {
        match address {
            SocketAddr::V4(v4) => Self::holding(
                libc::sockaddr_in {
                    sin_family: libc::AF_INET as libc::sa_family_t,
                    sin_port: v4.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                    sin_zero: [0; 8],
                },
                size_of::<libc::sockaddr_in>(),
            ),
            SocketAddr::V6(v6) => Self::holding(
                libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: v6.port().to_be(),
                    sin6_flowinfo: v6.flowinfo(),
                    sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                    sin6_scope_id: v6.scope_id(),
                },
                size_of::<libc::sockaddr_in6>(),
            ),
        }
    }

    /// The address of a path; a leading NUL byte names the abstract namespace.
    pub(super) fn path(path: &Path) -> io::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        let mut address = libc::sockaddr_un { sun_family: libc::AF_UNIX as libc::sa_family_t, sun_path: [0; 108] };
        let is_abstract = bytes.first() == Some(&0);
        // A path ends with a NUL; an abstract name is as long as it is.
        let most = address.sun_path.len() - usize::from(!is_abstract);
        if bytes.is_empty() || bytes.len() > most || (!is_abstract && bytes.contains(&0)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a Unix socket's path has 1 to 107 bytes and no NUL; an abstract name up to 107 after a leading NUL",
            ));
        }
        for (to, from) in address.sun_path.iter_mut().zip(bytes) {
            *to = *from as libc::c_char;
        }
        let len = offset_of!(libc::sockaddr_un, sun_path) + bytes.len() + usize::from(!is_abstract);
        Ok(Self::holding(address, len))
    }

    /// As an IP address, if it is one.
    pub(super) fn to_ip(self) -> io::Result<SocketAddr> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says which struct it is.
                let v4 = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Ok(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let v6 = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                Ok(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id).into())
            }
            _ => self.simulated().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an IP address")),
        }
    }

    /// The IP address that it stands for in a simulation.
    #[cold]
    fn simulated(&self) -> Option<SocketAddr> {
        address_in(self.to_path()?.as_os_str().as_bytes())
    }

    /// Whether it stands for an IP address in a simulation.
    pub(super) fn is_simulated(&self) -> bool {
        i32::from(self.storage.ss_family) == libc::AF_UNIX && self.simulated().is_some()
    }

    /// As a path, if it is a Unix address that has one.
    pub(super) fn to_path(self) -> Option<std::path::PathBuf> {
        if i32::from(self.storage.ss_family) != libc::AF_UNIX {
            return None;
        }
        // SAFETY: the family says which struct it is.
        let unix = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_un>() };
        let len = (self.len as usize).checked_sub(offset_of!(libc::sockaddr_un, sun_path))?;
        // Of a path that fills all of it the kernel counts a NUL that has no room there.
        let bytes: Vec<u8> = unix.sun_path[..len.min(108)].iter().map(|byte| *byte as u8).collect();
        let path_end = || bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let end = if bytes.first() == Some(&0) { bytes.len() } else { path_end() };
        (end > 0).then(|| OsStr::from_bytes(&bytes[..end]).into())
    }

    pub(super) fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut libc::sockaddr {
        (&raw mut self.storage).cast()
    }

    pub(super) fn len(&self) -> libc::socklen_t {
        self.len
    }

    pub(super) fn len_mut(&mut self) -> *mut libc::socklen_t {
        &raw mut self.len
    }
}
