"""A small web application around a recogniser, of Starlette on uvicorn: local/serve.sh."""
