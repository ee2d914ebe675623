//! Placeholder of the workspace member.
