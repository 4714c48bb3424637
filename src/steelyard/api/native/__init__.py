"""The native API: `/api/v1`, plain JSON with the model's own names, described by OpenAPI.

`build_native_app` makes the application; each module below it serves one kind of object.
"""

from steelyard.api.native.app import build_native_app

__all__ = ["build_native_app"]
