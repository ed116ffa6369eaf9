"""The cluster's certificate authority, and the kubeconfig of each of its members."""

import datetime
import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Signs certificates and writes them as `<folder>/<name>.crt` and `.key`."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def create(cls, folder: Path) -> "Authority":
        """A new authority, with the key pair that service account tokens are signed with beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("fieldpipe-cluster", ())
        certificate = (
            _certificate(name, name, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(key, hashes.SHA256())
        )
        authority = cls(folder, key, certificate)
        authority.file("ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        authority.file("service-accounts.key").write_bytes(_private(rsa.generate_private_key(65537, 2048)))
        return authority

    def file(self, name: str) -> Path:
        """A file of the authority."""
        return self.folder / name

    def issue(self, name: str, user: str, groups: Sequence[str] = (), hosts: Sequence[str] = ()) -> None:
        """A certificate for a user (Kubernetes reads groups from O) or a server (`hosts`: names and addresses)."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate(_name(user, groups), self.certificate.subject, key)
        if hosts:
            certificate = certificate.add_extension(
                x509.SubjectAlternativeName([_general_name(host) for host in hosts]), critical=False
            )
        signed = certificate.sign(self.key, hashes.SHA256())
        self.file(f"{name}.crt").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        self.file(f"{name}.key").write_bytes(_private(key))

    def kubeconfig(self, name: str, server: str, user: str, groups: Sequence[str] = ()) -> Path:
        """The kubeconfig of a user, with a certificate of its own."""
        self.issue(name, user, groups)
        files = {"client-certificate": str(self.file(f"{name}.crt")), "client-key": str(self.file(f"{name}.key"))}
        cluster = {"server": server, "certificate-authority": str(self.file("ca.crt"))}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cluster", "cluster": cluster}],
            "users": [{"name": name, "user": files}],
            "contexts": [{"name": name, "context": {"cluster": "cluster", "user": name}}],
            "current-context": name,
        }
        path = self.file(f"{name}.kubeconfig")
        path.write_text(json.dumps(config))  # JSON is YAML
        return path


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _certificate(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + 30 * DAY)
    )


def _private(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
