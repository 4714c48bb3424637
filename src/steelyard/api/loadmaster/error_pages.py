"""The upload of a service's error page (`reference/loadmaster-api/01`, 1.8 and 02, 2.1)."""

from __future__ import annotations

from steelyard.api.loadmaster.answers import Answer, Message
from steelyard.api.loadmaster.call import Call, Entry
from steelyard.api.loadmaster.references import service_of
from steelyard.model.commands import ChangeService
from steelyard.model.error_page import MAX_BYTES, encoded_page
from steelyard.model.errors import OperatorError


async def uploadvserrfile(call: Call) -> Answer:
    """The page that is sent when no real server is available; `ErrorPage` set to nothing removes it."""
    service = service_of(call.configuration, call.parameters)
    if not call.upload:
        raise OperatorError(
            "The uploaded page is empty",
            field="error_page",
            allowed=f"1 to {MAX_BYTES} bytes",
            remedy="Upload a page; modvs with an empty ErrorPage removes the one there is",
        )
    if len(call.upload) > MAX_BYTES:
        raise OperatorError(
            f"The uploaded page has {len(call.upload)} bytes; allowed: 1 to {MAX_BYTES}, as HAProxy sends it from one"
            " buffer",
            field="error_page",
            allowed=f"1 to {MAX_BYTES} bytes",
            remedy="Make it shorter; put images and style sheets elsewhere",
        )
    await call.execute(ChangeService(service.index, {"error_page": encoded_page(call.upload)}))
    return Message()


COMMANDS = (Entry("uploadvserrfile", uploadvserrfile, "vs", upload=True),)
