"""The files of a checkpoint: one .safetensors, or a folder of one or several, config.json and an index."""

from __future__ import annotations

import os
from typing import Any

from ._safetensors_file import CheckpointError, SafetensorsFile, read_json, shorten

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
CONFIG = "config.json"
SUFFIX = ".safetensors"


class CheckpointFiles:
    """Open files. `files` by name, `owner` of a tensor by the tensor's name, `config` as config.json has it.

    Raises CheckpointError for whatever is missing, twice there, or outside the folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self.files: dict[str, SafetensorsFile] = {}
        self.owner: dict[str, SafetensorsFile] = {}
        try:
            if os.path.isdir(self.path):
                self.directory = self.path
                names, expected = self._of_folder()
            else:
                self.directory, name = os.path.split(self.path)
                names, expected = [name], {}
            for name in names:
                self._open(name)
            for tensor, name in expected.items():
                if tensor not in self.files[name].tensors:
                    raise CheckpointError(os.path.join(self.path, INDEX), f"is not in {shorten(name)}", tensor)
            config = os.path.join(self.directory, CONFIG)
            self.config_path = config if os.path.exists(config) else None
            self.config: dict[str, Any] = {} if self.config_path is None else read_json(config)
        except BaseException:
            self.close()
            raise

    def _of_folder(self) -> tuple[list[str], dict[str, str]]:
        index = os.path.join(self.path, INDEX)
        if os.path.exists(index):
            weight_map = self._weight_map(index)
            return sorted(set(weight_map.values())), weight_map
        found = sorted(name for name in os.listdir(self.path) if name.endswith(SUFFIX))
        if SINGLE in found:
            return [SINGLE], {}
        if len(found) != 1:
            what = f"{len(found)} {SUFFIX} files but no {INDEX}" if found else f"no {SUFFIX} file"
            raise CheckpointError(self.path, f"has {what}")
        return found, {}

    def _weight_map(self, index: str) -> dict[str, str]:
        weight_map = read_json(index).get("weight_map")
        if not isinstance(weight_map, dict) or not weight_map:
            raise CheckpointError(index, "has no weight_map")
        for tensor, name in weight_map.items():
            # A name with a folder in it could lead anywhere.
            if (
                not isinstance(name, str)
                or not name.endswith(SUFFIX)
                or os.path.basename(name) != name
                or "\0" in name
            ):
                raise CheckpointError(index, f"{shorten(name)} is not the name of a {SUFFIX} file", tensor)
        return weight_map

    def _open(self, name: str) -> None:
        file = self.files[name] = SafetensorsFile(os.path.join(self.directory, name))
        for tensor in file.tensors:
            if tensor in self.owner:
                other = os.path.basename(self.owner[tensor].path)
                raise CheckpointError(file.path, f"is also in {shorten(other)}", tensor)
            self.owner[tensor] = file

    def file_of(self, tensor: str) -> SafetensorsFile:
        """The file that holds a tensor; raises CheckpointError if none does."""
        try:
            return self.owner[tensor]
        except KeyError:
            raise CheckpointError(self.path, "is not in the checkpoint", tensor) from None

    def close(self) -> None:
        """Closes the files; may be called twice."""
        for file in self.files.values():
            file.close()
