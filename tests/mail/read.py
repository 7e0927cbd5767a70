"""Reads a mail as a mail reader would and prints what it sees as JSON."""

import email
import email.policy
import json
import sys

message = email.message_from_binary_file(open(sys.argv[1], "rb"), policy=email.policy.default)
body = message.get_body(("plain",))
files = {part.get_filename(): [part.get_content_type(), part.get_content() if part.get_content_maintype() == "text"
                               else part.get_payload(decode=True).hex()]
         for part in message.iter_attachments()} if message.is_multipart() else {}
defects = [str(d) for part in message.walk() for d in part.defects]
print(json.dumps({
    "headers": [[name, str(value)] for name, value in message.items()],
    "body": body.get_content(),
    "files": files,
    "defects": defects,
    "id": message["Message-ID"],
}))
