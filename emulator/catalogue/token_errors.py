"""What a token endpoint may answer instead of a token: the entries of that service, and plain HTTP statuses."""

from dataclasses import replace

from emulator.catalogue.errors import CatalogueError, all_errors, entry

# What a plain status stands for (assumed); clients try again after those that speak of the service itself.
_BY_NUMBER = {
    400: "token_refresh_bad_request",
    401: "token_invalid_client",
    408: "token_internal_failure",
    429: "token_internal_failure",
    500: "token_internal_failure",
    502: "token_internal_failure",
    503: "token_internal_failure",
    504: "token_internal_failure",
}


def find_token_error(key: int | str) -> CatalogueError | None:
    """The error that an HTTP status (503, "503") or an entry's name stands for at a token endpoint."""
    text = str(key).strip()
    if text.isdecimal():
        number = int(text)
        return replace(entry(_BY_NUMBER[number]), http_status=number, code=number) if number in _BY_NUMBER else None
    return next((each for each in all_errors() if each.service == "oauth" and each.name == text.lower()), None)


def token_error_names() -> tuple[str, ...]:
    """All that `find_token_error` understands: the names, then the statuses."""
    return (*(each.name for each in all_errors() if each.service == "oauth"), *map(str, _BY_NUMBER))
