"""Takes what is rendered for AWS to AWS's own description of its calls, to moto and to cfn-lint.

Reads one JSON document on standard input:

    {"calls": [["iam", "create-role", {"RoleName": "..."}]], "template": "...",
     "web_identity": {"RoleArn": "...", "RoleSessionName": "...", "WebIdentityToken": "..."}}

Every parameter of a call is checked against botocore's service model: its type, length and pattern.
Where nothing is wrong, the calls are made through boto3 to moto, and a role is assumed with the
token. cfn-lint reads the template.

Writes one JSON document on standard output:

    {"faults": ["iam create-role RoleName: ..."], "lint": ["E3001 ..."],
     "providers": [...], "roles": {"name": {...}}, "assumed": "arn:...",
     "unknown": ["the operations that moto does not know"]}
"""

import json
import os
import sys

os.environ.update(
    AWS_ACCESS_KEY_ID="testing",
    AWS_SECRET_ACCESS_KEY="testing",
    AWS_DEFAULT_REGION="us-east-1",
)

import boto3
import botocore.session
import cfnlint.api
import moto
import regex


def main():
    request = json.load(sys.stdin)
    calls = request["calls"] + [
        ["sts", "assume-role-with-web-identity", request["web_identity"]]
    ]
    answer = {"faults": [fault for call in calls for fault in faults(*call)]}
    if not answer["faults"]:
        answer.update(make(calls))
    # Rules of the class I inform; cfn-lint's command leaves them out by itself.
    matches = cfnlint.api.lint_all(request["template"])
    answer["lint"] = [str(match) for match in matches if not match.rule.id.startswith("I")]
    json.dump(answer, sys.stdout, default=str)


def make(calls):
    """Makes the calls, and tells what moto has then."""
    with moto.mock_aws():
        unknown = set()
        for service, operation, parameters in calls:
            method = getattr(boto3.client(service), operation.replace("-", "_"))
            try:
                response = method(**parameters)
            except NotImplementedError:
                unknown.add(operation)
        return state() | {
            "unknown": sorted(unknown),
            "assumed": response["AssumedRoleUser"]["Arn"],
        }


def state():
    iam = boto3.client("iam")
    providers = [
        iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider["Arn"])
        | {"Arn": provider["Arn"]}
        for provider in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
    ]
    roles = {role["RoleName"]: iam.get_role(RoleName=role["RoleName"])["Role"]
             for role in iam.list_roles()["Roles"]}
    return {"providers": providers, "roles": roles}


def faults(service, operation, parameters):
    model = botocore.session.get_session().get_service_model(service)
    names = {name.lower(): name for name in model.operation_names}
    shape = model.operation_model(names[operation.replace("-", "")]).input_shape
    for fault in check(shape, parameters, ""):
        yield f"{service} {operation}{fault}"


def check(shape, value, place):
    """Compares a value with its shape; botocore itself looks at no pattern and no upper bound."""
    kind = {"structure": dict, "list": list, "string": str, "integer": int, "boolean": bool}
    if not isinstance(value, kind[shape.type_name]):
        yield f"{place}: no {shape.type_name}"
        return
    limits = shape.metadata
    if shape.type_name in ("string", "list"):
        if len(value) < limits.get("min", 0):
            yield f"{place}: {len(value)} are fewer than {limits['min']}"
        if len(value) > limits.get("max", len(value)):
            yield f"{place}: {len(value)} are more than {limits['max']}"
    if shape.type_name == "string" and "pattern" in limits:
        if not regex.fullmatch(limits["pattern"], value):
            yield f"{place}: {value!r} is not of the pattern {limits['pattern']}"
    if shape.type_name == "list":
        for index, item in enumerate(value):
            yield from check(shape.member, item, f"{place}[{index}]")
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                yield f"{place}: {name} is missing"
        for name, item in value.items():
            if name not in shape.members:
                yield f"{place}: there is no {name}"
            else:
                yield from check(shape.members[name], item, f"{place} {name}")


if __name__ == "__main__":
    main()
