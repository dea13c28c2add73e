"""Makes a container in an Azure blob store: azure_container.py ENDPOINT ACCOUNT KEY CONTAINER."""
import base64
import hashlib
import hmac
import sys
import urllib.parse
import urllib.request
from email.utils import formatdate

endpoint, account, key, container = sys.argv[1:]
url = f"{endpoint}/{container}?restype=container"
date = formatdate(usegmt=True)
path = urllib.parse.urlsplit(url).path
headers = f"x-ms-date:{date}\nx-ms-version:2021-08-06\n"
signed = "PUT" + "\n" * 12 + headers + f"/{account}{path}\nrestype:container"
signature = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
request = urllib.request.Request(url, data=b"", method="PUT")
request.add_header("Content-Type", "")
request.add_header("x-ms-date", date)
request.add_header("x-ms-version", "2021-08-06")
request.add_header("Authorization", f"SharedKey {account}:{base64.b64encode(signature).decode()}")
urllib.request.urlopen(request).close()
