"""Labels of origin in XMP: the IPTC digital source type, and a line of history with the action and the software.

Other properties of a packet are kept; an unreadable packet is replaced. IPTC Photo Metadata Standard 2025.1,
"Digital Source Type"; XMP specification part 2, section 1.2.6 (``xmpMM:History``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_MM = "http://ns.adobe.com/xap/1.0/mm/"
_EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_XMP = "http://ns.adobe.com/xap/1.0/"
_META = "adobe:ns:meta/"
_PREFIXES = {
    "x": _META, "rdf": _RDF, "Iptc4xmpExt": _IPTC, "xmpMM": _MM, "stEvt": _EVENT, "xmp": _XMP,
    "dc": "http://purl.org/dc/elements/1.1/", "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "xmpRights": "http://ns.adobe.com/xap/1.0/rights/", "tiff": "http://ns.adobe.com/tiff/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/", "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}  # fmt: skip
for _prefix, _uri in _PREFIXES.items():
    ElementTree.register_namespace(_prefix, _uri)

#: A picture partly made by a trained model (IPTC NewsCodes, digitalsourcetype).
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
SOFTWARE = "Cleanplate"


@dataclass(frozen=True)
class Label:
    """The label of a result."""

    #: The job it was made in.
    job: str
    #: The method that filled the hole.
    method: str
    when: datetime


def labelled(packet: bytes | None, label: Label) -> bytes:
    """The XMP packet ``packet`` with ``label`` added."""
    meta = _parsed(packet)
    rdf = meta.find(f"{{{_RDF}}}RDF")
    if rdf is None:
        rdf = ElementTree.SubElement(meta, f"{{{_RDF}}}RDF")
    described = rdf.find(f"{{{_RDF}}}Description")
    if described is None:
        described = ElementTree.SubElement(rdf, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    source_type = f"{{{_IPTC}}}DigitalSourceType"
    for other in rdf.findall(f"{{{_RDF}}}Description"):
        other.attrib.pop(source_type, None)
        for element in other.findall(source_type):
            other.remove(element)
        # A thumbnail in XMP would still show the mark.
        for element in other.findall(f"{{{_XMP}}}Thumbnails"):
            other.remove(element)
    described.set(source_type, COMPOSITE)
    _history(rdf, described).append(
        ElementTree.Element(
            f"{{{_RDF}}}li",
            {
                f"{{{_EVENT}}}action": "edited",
                f"{{{_EVENT}}}when": label.when.isoformat(timespec="seconds"),
                f"{{{_EVENT}}}softwareAgent": SOFTWARE,
                f"{{{_EVENT}}}parameters": f"watermark removed by {label.method}; job {label.job}",
            },
        )
    )
    body = ElementTree.tostring(meta, encoding="unicode")
    return f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n{body}\n<?xpacket end="w"?>'.encode()


def _history(rdf: ElementTree.Element, described: ElementTree.Element) -> ElementTree.Element:
    history = rdf.find(f"{{{_RDF}}}Description/{{{_MM}}}History")
    if history is None:
        history = ElementTree.SubElement(described, f"{{{_MM}}}History")
    sequence = history.find(f"{{{_RDF}}}Seq")
    return ElementTree.SubElement(history, f"{{{_RDF}}}Seq") if sequence is None else sequence


def _parsed(packet: bytes | None) -> ElementTree.Element:
    if packet and b"<!DOCTYPE" not in packet:
        try:
            # No document type, so no entities; nothing outside the packet is ever fetched.
            root = ElementTree.fromstring(packet.decode("utf-8", "strict").strip("\ufeff\0 \r\n\t"))  # noqa: S314
        except (ElementTree.ParseError, ValueError):
            pass
        else:
            if root.tag == f"{{{_META}}}xmpmeta":
                return root
            if root.tag == f"{{{_RDF}}}RDF":
                meta = ElementTree.Element(f"{{{_META}}}xmpmeta")
                meta.append(root)
                return meta
    return ElementTree.Element(f"{{{_META}}}xmpmeta")
