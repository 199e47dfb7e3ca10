//! Netlink: filled in with the monitor.
