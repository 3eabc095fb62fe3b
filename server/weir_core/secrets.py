"""The master key: what is encrypted with it, and the keys that are derived from it."""

import base64
import binascii
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from weir_core.errors import ChecksumMismatch

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"


class SecretBox:
    """Encrypts small values (AES-256-GCM), each bound to the place that it is kept in."""

    def __init__(self, master_key: bytes) -> None:
        self._master = master_key
        self._cipher = AESGCM(self.derive("secrets"))

    @classmethod
    def from_text(cls, text: str) -> "SecretBox":
        """A box with the key of `WEIR_MASTER_KEY`."""
        try:
            key = base64.b64decode(text, validate=True)
        except binascii.Error:
            key = b""
        if len(key) != _KEY_BYTES:
            raise SystemExit(
                "WEIR_MASTER_KEY must be 32 bytes in base64; make one with: openssl rand -base64 32"
            )
        return cls(key)

    def derive(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose."""
        return HKDF(hashes.SHA256(), _KEY_BYTES, salt=None, info=b"weir/" + purpose.encode()).derive(
            self._master
        )

    def seal(self, plain: bytes, place: str) -> bytes:
        """Encrypt a value; `place`, such as `connection/ID`, must be the same to open it."""
        nonce = os.urandom(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        """Decrypt a value; ChecksumMismatch where key, place or content is another one."""
        nonce, content = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, content, place.encode())
        except InvalidTag:
            raise ChecksumMismatch(
                f"the secret of {place} can't be decrypted; was it stored under another WEIR_MASTER_KEY?"
            ) from None
