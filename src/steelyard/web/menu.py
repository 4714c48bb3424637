"""The menu: one tree, with LoadMaster's words and paths. Only pages that exist appear.

An entry names a page by its route. `also` holds the paths the page had in other releases of LoadMaster (seed era: 6.x
to 7.1); they resolve below `/menu/` and are found by the search field.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Entry:
    """A page of the menu, or a group of them. A group's `page` is empty."""

    title: str
    page: str = ""
    under: tuple[Entry, ...] = ()
    also: tuple[str, ...] = ()
    #: more words people search it by
    words: str = ""


MENU: tuple[Entry, ...] = (
    Entry("Home", "home", words="dashboard overview health"),
    Entry(
        "Virtual Services",
        under=(
            Entry("Add New", "add-service", words="create virtual service"),
            Entry("View/Modify Services", "services", words="list virtual services"),
            Entry("Manage Templates", "templates"),
            Entry("Manage SSO Domains", "sso-domains", also=("Virtual Services > Manage SSO",)),
            Entry("Cache Configuration", "cache-configuration"),
            Entry("Compression Options", "compression-options"),
        ),
    ),
    Entry("Global Balancing", under=(Entry("Manage FQDNs", "fqdns"), Entry("Manage Clusters", "clusters"))),
    Entry(
        "Statistics",
        under=(
            Entry("Real Time Statistics", "statistics", words="counters rates"),
            Entry("Historical Graphs", "graphs", words="history day week month year"),
        ),
    ),
    Entry("Real Servers", "real-servers", words="enable disable drain"),
    Entry(
        "Rules & Checking",
        under=(
            Entry("Content Rules", "content-rules", words="switching header rewrite"),
            Entry("Check Parameters", "check-parameters", words="interval timeout retry adaptive"),
        ),
    ),
    Entry(
        "Certificates & Security",
        under=(
            Entry("SSL Certificates", "certificates", also=("Certificates > SSL Certificates",)),
            Entry("Intermediate Certs", "intermediates", also=("Certificates > Intermediate Certs",)),
            Entry("ACME Certificates", "acme", words="Let's Encrypt DNS provider account renew order"),
            Entry("Generate CSR", "generate-csr", also=("Certificates > Generate CSR",), words="signing request"),
            Entry("Backup/Restore Certs", "certificate-backup", also=("Certificates > Backup/Restore Certs",)),
            Entry("Cipher Sets", "cipher-sets", also=("Certificates > Cipher Sets",)),
            Entry(
                "OCSP Configuration", "ocsp", also=("Certificates > OCSP Configuration",), words="stapling revocation"
            ),
            Entry("LDAP Configuration", "ldap", also=("Certificates > LDAP Configuration",)),
            Entry(
                "Remote Access",
                "remote-access",
                also=("System Configuration > Miscellaneous Options > Remote Access",),
                words="administration interface",
            ),
            Entry(
                "Admin WUI Access",
                "admin-access",
                also=("System Configuration > Miscellaneous Options > WUI Settings",),
                words="session idle time banner",
            ),
        ),
    ),
    Entry(
        "System Configuration",
        under=(
            Entry(
                "Interfaces",
                "interfaces",
                also=(
                    "System Configuration > Network Setup > Interfaces",
                    "System Configuration > Interfaces > eth0",
                    "System Configuration > eth1 > VLAN Configuration",
                ),
                words="address vlan bond",
            ),
            Entry(
                "Host & DNS Configuration",
                "host-dns",
                also=(
                    "System Configuration > Network Setup > Host & DNS Configuration",
                    "System Configuration > Local DNS Configuration > Hostname Configuration",
                    "System Configuration > Local DNS Configuration > DNS Configuration",
                ),
            ),
            Entry(
                "Default Gateway",
                "default-gateway",
                also=(
                    "System Configuration > Network Setup > Default Gateway",
                    "System Configuration > Route Management > Default Gateway",
                ),
            ),
            Entry(
                "Additional Routes",
                "routes",
                also=(
                    "System Configuration > Network Setup > Additional Routes",
                    "System Configuration > Route Management > Additional Routes",
                ),
            ),
            Entry(
                "Packet Routing Filter",
                "access-lists",
                also=(
                    "System Configuration > Network Setup > Packet Routing Filter",
                    "System Configuration > Access Control > Packet Filter",
                ),
                words="access control block allow list",
            ),
            Entry("HA Parameters", "ha", also=("System Configuration > HA and Clustering",)),
            Entry("QoS/Limiting", "limits", words="rate limit client"),
            Entry("User Management", "users", also=("System Configuration > System Administration > User Management",)),
            Entry(
                "Backup/Restore",
                "backup",
                also=("System Configuration > System Administration > Backup/Restore",),
                words="save export",
            ),
            Entry(
                "Factory Reset",
                "factory-reset",
                also=("System Configuration > System Administration > System Reboot",),
                words="clear erase default",
            ),
            Entry("Date/Time", "date-time", also=("System Configuration > System Administration > Date/Time",)),
            Entry(
                "Syslog Options",
                "syslog-options",
                also=("System Configuration > Logging Options > Syslog Options",),
                words="notification webhook event",
            ),
            Entry("SNMP Options", "snmp-options", also=("System Configuration > Logging Options > SNMP Options",)),
            Entry("Email Options", "email-options", also=("System Configuration > Logging Options > Email Options",)),
            Entry(
                "L7 Configuration",
                "layer7-configuration",
                also=("System Configuration > Miscellaneous Options > L7 Configuration",),
                words="drain time layer 7",
            ),
            Entry(
                "Network Options",
                "network-options",
                also=("System Configuration > Miscellaneous Options > Network Options",),
                words="NAT keepalive",
            ),
            Entry(
                "AFE Configuration",
                "afe-configuration",
                also=("System Configuration > Miscellaneous Options > AFE Configuration",),
                words="cache intrusion",
            ),
            Entry("WUI Settings", "wui-settings"),
        ),
    ),
    Entry("History", "history", words="revision rollback difference audit"),
    Entry(
        "Events & Logs",
        "events",
        also=(
            "System Configuration > Logging Options > System Log Files",
            "System Configuration > Logging Options > Extended Log Files",
        ),
    ),
    Entry("Map", "map"),
    Entry("Explain", "explain", words="why request trace"),
)


def built(pages: Collection[str], tree: tuple[Entry, ...] = MENU) -> tuple[Entry, ...]:
    """The part of the tree whose pages exist; groups without any are left out."""
    found: list[Entry] = []
    for entry in tree:
        under = built(pages, entry.under)
        if under or entry.page in pages:
            found.append(replace(entry, under=under))
    return tuple(found)


def places(tree: tuple[Entry, ...], above: str = "") -> Iterator[tuple[str, Entry]]:
    """Every page with its path, "Virtual Services > Add New"; paths of other releases follow their page's own."""
    for entry in tree:
        path = f"{above} > {entry.title}" if above else entry.title
        if entry.page:
            yield path, entry
            for other in entry.also:
                yield other, entry
        yield from places(entry.under, path)


def plain(path: str) -> str:
    """A path as it is compared, whatever stands between its parts and however it is spelled."""
    return "".join(filter(str.isalnum, path)).lower()
