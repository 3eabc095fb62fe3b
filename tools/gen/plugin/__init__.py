"""The project's own protoc plugin: clients from services.

A method is named as its RPC. Its keyword arguments are the request's fields; a message that the request can't
do without, such as the connection in CreateConnection, is spread, so that its fields are the arguments. What
the contract refuses to be empty has no default. Lists page by themselves; a server stream ends in `_stream`.
"""
