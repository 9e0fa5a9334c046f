"""Protocols: by which rules prompts are made, masks chosen, numbers averaged. Each is a TOML file in this folder."""

from bench.protocols.presets import protocol, protocol_names
from bench.protocols.protocol import Protocol

__all__ = ["Protocol", "protocol", "protocol_names"]
