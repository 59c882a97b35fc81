"""Who counts as one client."""

from __future__ import annotations

import ipaddress


def client_group(address: str) -> str:
    """An IPv4 address, or the /64 network of an IPv6 address, which one machine can have to itself."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
