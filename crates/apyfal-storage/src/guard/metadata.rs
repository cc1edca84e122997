//! Where clouds answer machines about themselves, and hand out credentials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const V4: [Ipv4Addr; 10] = [
    // AWS, Azure, Google, Oracle, OpenStack and most others.
    Ipv4Addr::new(169, 254, 169, 254),
    // Containers of AWS: ECS, EKS.
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    // Scaleway, Tencent.
    Ipv4Addr::new(169, 254, 42, 42),
    Ipv4Addr::new(169, 254, 0, 23),
    // Alibaba, Volcengine: in the midst of private ones.
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(100, 96, 0, 96),
    // Oracle's first cloud.
    Ipv4Addr::new(192, 0, 0, 192),
    // Azure's hosts, Equinix: in the midst of public ones.
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 80, 8, 124),
];

const V6: [Ipv6Addr; 8] = [
    // AWS, and its EKS.
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    // Google, Oracle, Scaleway, Akamai, Alibaba.
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
    Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42),
    Ipv6Addr::new(0xfd00, 0xa9fe, 0xa9fe, 0, 0, 0, 0, 1),
    Ipv6Addr::new(0xfd00, 0x100, 0, 0, 0, 0, 0x100, 0x200),
    // OpenStack.
    Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe),
];

/// Whether a cloud is known to answer there.
pub(super) fn is_metadata(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => V4.contains(address),
        IpAddr::V6(address) => V6.contains(address),
    }
}
