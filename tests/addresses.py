"""Addresses that the service must never fetch from, in spellings that have bypassed other checks."""

from __future__ import annotations

#: Addresses that are refused by their text alone, before any resolution.
REFUSED_BY_THEIR_TEXT = [
    # Loopback in all spellings of the C library.
    *("https://127.0.0.1/a.jpg", "https://127.1/", "https://2130706433/", "https://0x7f000001/", "https://0177.0.0.1/"),
    *("https://0x7f.0.0.1/", "https://017700000001/", "https://0/", "https://0.0.0.0/", "https://127.0.0.1./"),
    # IPv6: loopback, mapped, compatible, NAT64, 6to4, Teredo, link-local with a zone, unique local.
    *("https://[::1]/", "https://[::]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/", "https://[::127.0.0.1]/"),
    *("https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[2001:0:4136:e378:8000:63bf:80ff:fffe]/"),
    *("https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[::1%25lo]/", "https://[fd00:ec2::254]/"),
    *("https://[fec0::1]/", "https://[ff02::1]/"),
    # Private networks, addresses of cloud services, multicast.
    *("https://10.0.0.1/", "https://172.16.0.1/", "https://192.168.1.1/", "https://100.100.100.200/"),
    *("https://169.254.169.254/latest/meta-data/", "https://[::ffff:169.254.169.254]/", "https://0xa9fea9fe/"),
    *("https://168.63.129.16/", "https://224.0.0.1/", "https://255.255.255.255/", "https://192.0.0.1/"),
    # Names of the local network.
    *("https://localhost/", "https://LOCALHOST/", "https://localhost./", "https://metadata.google.internal/"),
    *("https://printer.local/", "https://intranet/", "https://a.localhost/"),
    # Credentials, and text that some parsers take for credentials.
    *("https://user:secret@shop.example/", "https://shop.example@127.0.0.1/", "https://@shop.example/"),
    "https://shop.example\\@127.0.0.1/",
    # Other schemes, and none.
    *("http://shop.example/", "ftp://shop.example/a", "file:///etc/passwd", "gopher://127.0.0.1/"),
    *("data:image/png;base64,AA", "javascript:alert(1)", "dict://127.0.0.1/"),
    *("//shop.example/a.jpg", "shop.example/a.jpg", "https:///a.jpg", "https://"),
    # Ports that are none.
    *("https://shop.example:0/", "https://shop.example:65536/", "https://shop.example:https/"),
    # Texts that resolve to another address than they seem to.
    *("https://shop.example#@127.0.0.1/", "https://①②⑦.⓪.⓪.①/", "https://127。0。0。1/", "https://shop.example/\r\nHost:127.0.0.1"),
    *("https://sh op.example/", "https://[::1", "https://127.0.0.1%2f.shop.example/", "https://\t127.0.0.1/"),
    # Buckets that are not allowed.
    *("s3://bucket/key", "s3://bucket", "s3:///key", "s3://", "S3://bucket/key"),
]  # fmt: skip

#: Public addresses with a port at which no pictures are served; a webhook may have any.
OF_OTHER_PORTS = ["https://shop.example:22/", "https://shop.example:6379/", "https://shop.example:80/"]

#: Addresses in S3 of which none lies in the folder ``s3://shop/spring/``.
OUTSIDE_A_FOLDER = [
    *("s3://shop/spring/../winter/", "s3://shop/spring/./../winter/", "s3://shop/spring/..", "s3://shop/../shop/spring/"),
    *("s3://shop/springs/", "s3://shop/", "s3://shop", "s3://shop-other/spring/", "s3://shop@other/spring/"),
    *("s3://SHOP/spring/", "s3:///spring/", "s3://../shop/spring/", "s3://shop\\spring/", "s3:/shop/spring/"),
    *("s3://shop/spring/\r\nHost: other/", "s3://shop/spring/\x00/", "s3://shop/spring/" + "a" * 1024 + "/"),
]  # fmt: skip
