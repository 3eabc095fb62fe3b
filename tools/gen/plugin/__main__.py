"""protoc-gen-weir: reads a request of protoc's from standard input, answers with the files to write."""

import sys

from google.protobuf.compiler.plugin_pb2 import CodeGeneratorRequest, CodeGeneratorResponse

from tools.gen.plugin.reading import Contract
from tools.gen.plugin.templates import methods_module, service_module, types_module


def main() -> None:
    """Answers one request."""
    request = CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    answer = CodeGeneratorResponse()
    answer.supported_features = CodeGeneratorResponse.FEATURE_PROTO3_OPTIONAL
    try:
        for name, content in _files(request).items():
            answer.file.add(name=name, content=content)
    except ValueError as error:
        answer.error = str(error)
    sys.stdout.buffer.write(answer.SerializeToString())


def _files(request: CodeGeneratorRequest) -> dict[str, str]:
    contract = Contract(request)
    services = contract.services()
    modules = [name.rsplit("/", 1)[-1].removesuffix(".proto") + "_pb2" for name in request.file_to_generate]
    made = {
        "weir/methods.py": methods_module(services, modules),
        "weir/types.py": types_module(contract.messages_and_enums()),
    }
    for service in services:
        made[f"weir/aio/{service.stem}.py"] = service_module(service, modules)
    return made


if __name__ == "__main__":
    main()
