"""The API's own document, made from the table of routes and the Structs that serve.

routes ─▶ `document`   `parameters` of paths, queries and headers; `schemas` of the Structs; `operators`: what is at the root
             └▶ `served`   /openapi.json, and /docs: the same to look at
"""
