"""`weir users` and `weir keys`."""

from tests.fixtures.cli import Weir
from tests.sdk.cli.conftest import Site


def test_a_new_user_signs_in_and_does_what_its_role_allows(site: Site, weir: Weir, weir_program: Weir):
    made = weir(
        "users", "create", "bea", "--role", "viewer@default", "--password-stdin", given="password of bea\n"
    )
    assert (made.status, made.document["bindings"]) == (0, [{"role": "viewer", "project": "default"}])
    assert "bea" in [row.split()[1] for row in weir("users", "list").out.splitlines()[1:]]
    assert weir("users", "get", "bea", "--json").document["user"]["id"] == made.document["id"]
    taken = weir("users", "create", "bea", "--password-stdin", given="password of bea\n")
    assert (taken.status, "there is a user named 'bea' already; choose another" in taken.err) == (1, True)

    login = ("login", "--address", site.address, "--user", "bea", "--json")
    assert weir_program(*login, WEIR_PASSWORD="password of bea").document["name"] == "bea"
    assert weir_program("tasks", "list").status == 0
    refused = weir_program("tasks", "submit", "probe.echo", '{"text": "x"}')
    assert refused.status == 5
    assert "permission 'tasks.submit' is needed in project 'default'" in refused.err
    assert "see what you may do with: weir users get self" in refused.err


def test_a_key_acts_until_it_is_revoked(site: Site, weir: Weir, weir_program: Weir):
    made = weir("keys", "create", "nightly", "--role", "viewer@default", "--json").document
    variables = {"WEIR_API_KEY": made["secret"], "WEIR_ENDPOINT": site.address}
    assert weir_program("tasks", "types", **variables).status == 0
    listed = weir("keys", "list", "--user", "self").out
    assert "nightly" in listed
    assert made["secret"] not in listed
    assert weir("keys", "revoke", made["api_key"]["id"]).out == "revoked\n"
    # A server that had seen the key hears of it within two seconds.
    ran = weir_program("tasks", "types", "--json", **variables)
    while ran.status == 0:
        ran = weir_program("tasks", "types", "--json", **variables)
    assert (ran.status, ran.error["reason"]) == (5, "TOKEN_REVOKED")


def test_refusals_name_the_option(weir: Weir):
    assert "--role viewer: must be ROLE@PROJECT" in weir("keys", "create", "k", "--role", "viewer").err
    assert "--role ROLE@PROJECT" in weir("keys", "create", "k").err
    assert "user 'nobody' does not exist" in weir("users", "get", "nobody").err
