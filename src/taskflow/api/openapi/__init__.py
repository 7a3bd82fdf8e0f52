"""The API's OpenAPI document, made from the table of routes and from the Structs that the routes use.

routes ─▶ `document`   `parameters` of paths, queries and headers; `schemas` of the Structs; `operators`: the root
             └▶ `served`   /openapi.json, and /docs: the document as a page
"""
