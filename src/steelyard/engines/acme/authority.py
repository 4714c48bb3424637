"""One ACME authority (RFC 8555), spoken to by certbot's `acme` library.

Every method blocks, for `_SECONDS` an answer at most, and is meant for a thread. What the authority objects to comes
out as `AuthorityRefused` with its problem document, what keeps it from being reached as `HostLacks`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import requests
from acme import challenges, client, errors, messages
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from josepy.errors import Error as JoseError
from josepy.jwa import ES256, ES384, ES512, RS256, JWASignature
from josepy.jwk import JWK, JWKEC, JWKRSA

from steelyard import __version__
from steelyard.model.acme_problem import AuthorityRefused, remedy_for
from steelyard.model.errors import EngineRefused, HostLacks, OperatorError

_SECONDS = 30
_FINALIZE = timedelta(seconds=120)
_NONCE_TRIES = 5

logging.getLogger("acme").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Challenge:
    """What the authority wants to find for one name: `token` and `answer` for HTTP-01, `record` for DNS-01."""

    domain: str
    kind: str
    token: str
    answer: str
    record: str
    _authorization: messages.AuthorizationResource
    _body: messages.ChallengeBody


@dataclass
class Order:
    """An order under way."""

    resource: messages.OrderResource


@dataclass(frozen=True)
class Registration:
    """What the authority answers to a registration."""

    uri: str
    email: str


class Authority:
    """A conversation under one account key. Close it, or use it in a `with`."""

    def __init__(
        self, directory_url: str, key_pem: bytes, *, uri: str = "", authority_pem: str = "", seconds: int = _SECONDS
    ) -> None:
        self._url = directory_url
        self._key = _jwk(key_pem)
        self._trust = _file_of(authority_pem) if authority_pem else None
        account = messages.RegistrationResource(uri=uri, body=messages.Registration()) if uri else None
        self._net = _Network(
            self._key,
            account,
            alg=_algorithm(self._key),
            # the library hands it to requests, which takes the path of a file of authorities, too
            verify_ssl=self._trust or True,  # type: ignore[arg-type]
            user_agent=f"Steelyard/{__version__}",
            timeout=seconds,
        )
        self._client: client.ClientV2 | None = None

    def __enter__(self) -> Authority:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections and of the file of authorities."""
        self._net.session.close()
        if self._trust is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._trust)  # noqa: PTH108 - a name from mkstemp, no path to work with

    def _opened(self) -> client.ClientV2:
        """The client, once the directory has been read. Call it inside `_told`."""
        if self._client is None:
            directory = client.ClientV2.get_directory(self._url, self._net)
            for member in ("newNonce", "newAccount", "newOrder"):
                if member not in directory.to_partial_json():
                    raise EngineRefused(
                        f"{self._url} is no ACME directory: it names no {member}; check the directory URL"
                    )
            self._client = client.ClientV2(directory, self._net)
        return self._client

    def terms(self) -> str | None:
        """Where the authority's terms of service are, if it has any."""
        with self._told("read the directory"):
            meta = getattr(self._opened().directory, "meta", None)
            found = getattr(meta, "terms_of_service", None)
            return found if isinstance(found, str) else None

    def register(self, email: str, binding: tuple[str, str] | None) -> Registration:
        """Make the account, or find it if the key has one. `binding` is kid and HMAC key of the authority's giving."""
        with self._told("register the account"):
            opened = self._opened()
            if opened.external_account_required() and binding is None:
                raise OperatorError(
                    "The authority registers only accounts that are bound to one you have with it",
                    field="kid",
                    allowed="kid and hmac, as the authority gave them to you",
                    remedy="Set both and register again",
                )
            bound = None
            if binding is not None:
                bound = messages.ExternalAccountBinding.from_data(
                    self._key.public_key(), binding[0], binding[1], opened.directory
                )
            request = messages.NewRegistration.from_data(
                email=email or None, terms_of_service_agreed=True, external_account_binding=bound
            )
            # a registration is signed with the key alone, never in the name of an account
            self._net.account = None
            try:
                return _registration(opened.new_account(request), email)
            except errors.ConflictError as failure:
                known = messages.RegistrationResource(uri=failure.location, body=messages.Registration())
                if email:
                    opened.update_registration(known, messages.Registration.from_data(email=email))
                return Registration(failure.location, email)

    def find(self) -> Registration:
        """The account that the key has already. Raises `AuthorityRefused` when it has none."""
        with self._told("look for the account"):
            # a body without a contact leaves the authority's as it is
            wanted = messages.RegistrationResource(uri="", body=messages.Registration())
            return _registration(self._opened().query_registration(wanted), "")

    def order(self, request_pem: bytes) -> tuple[Order, list[messages.AuthorizationResource]]:
        """A new order for the names of a signing request, and what is to be proved for it still."""
        with self._told("make an order"):
            resource = self._opened().new_order(request_pem)
            pending = [one for one in resource.authorizations if one.body.status != messages.STATUS_VALID]
            return Order(resource), pending

    def challenge(self, authorization: messages.AuthorizationResource, kind: str) -> Challenge:
        """The challenge of that kind. Raises `AuthorityRefused` when the authority offers none."""
        body = authorization.body
        domain = body.identifier.value
        for one in body.challenges:
            if one.chall.typ == kind:
                record = ""
                if isinstance(one.chall, challenges.DNS01):
                    record = one.chall.validation_domain_name(domain)
                    answer = one.chall.validation(self._key)
                else:
                    answer = one.chall.key_authorization(self._key)
                return Challenge(domain, kind, one.chall.encode("token"), answer, record, authorization, one)
        offered = ", ".join(str(one.chall.typ) for one in body.challenges) or "none"
        raise AuthorityRefused(
            f"The authority offers no {kind} for {domain} (it offers {offered})",
            remedy="Prove the name in a way that it offers",
        )

    def answer(self, challenge: Challenge) -> None:
        """Tell the authority that the answer is there."""
        with self._told(f"answer the challenge of {challenge.domain}"):
            response = challenge._body.response(self._key)
            self._opened().answer_challenge(challenge._body, response)

    def proved(self, challenge: Challenge) -> bool:
        """Whether the authority believes by now. Raises `AuthorityRefused` when it does not and never will."""
        with self._told(f"ask about {challenge.domain}"):
            authorization, _ = self._opened().poll(challenge._authorization)
        status = authorization.body.status
        if status == messages.STATUS_VALID:
            return True
        if status in (messages.STATUS_PENDING, messages.STATUS_PROCESSING):
            return False
        problems = [one.error for one in authorization.body.challenges if one.error is not None]
        if problems:
            raise _refusal(f"The authority does not believe that {challenge.domain} is yours", problems[0], challenge)
        raise AuthorityRefused(
            f"The authority gave {challenge.domain} up ({status.name}) and does not say why", remedy="Try again later"
        )

    def finalize(self, order: Order, request_pem: bytes) -> str:
        """Have the certificate issued; its chain in PEM."""
        with self._told("issue the certificate"):
            # the library's deadlines are local times without a zone
            deadline = datetime.now() + _FINALIZE
            done = self._opened().finalize_order(order.resource.update(csr_pem=request_pem), deadline)
            return str(done.fullchain_pem)

    @contextlib.contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Failures in the words of whoever made them."""
        try:
            yield
        except messages.Error as problem:
            raise _refusal(f"The ACME authority refuses to {what}", problem) from problem
        except errors.IssuanceError as failure:
            raise _refusal(f"The ACME authority refuses to {what}", failure.error) from failure
        except errors.TimeoutError as failure:
            seconds = int(_FINALIZE.total_seconds())
            raise AuthorityRefused(
                f"The ACME authority did not {what} within {seconds} s", remedy="It is tried again later by itself"
            ) from failure
        except requests.exceptions.SSLError as failure:
            raise HostLacks(
                f"The TLS certificate of {self._url} is not believed: {_reason(failure)}",
                lacks="an authority that vouches for the ACME directory",
                remedy="For a private authority give its certificate as authority_pem; otherwise check the URL",
            ) from failure
        except requests.exceptions.RequestException as failure:
            raise HostLacks(
                f"The ACME authority at {self._url} cannot be reached: {_reason(failure)}",
                lacks="a way to the ACME authority",
                remedy="Check the directory URL, and this host's DNS, routes, firewall and proxy (https_proxy)",
            ) from failure
        except (errors.Error, JoseError, KeyError, AttributeError, TypeError, ValueError) as failure:
            raise AuthorityRefused(
                f"What {self._url} answers is not ACME: {_reason(failure)}",
                remedy="Check the directory URL",
            ) from failure


class _Network(client.ClientNetwork):
    """The library tries a request with a refused nonce once more; nonces of several data centres may need more."""

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:
        for _ in range(_NONCE_TRIES - 1):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as problem:
                if problem.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)


def _registration(found: messages.RegistrationResource, email: str) -> Registration:
    known = next(iter(found.body.emails), "") if found.body.contact else ""
    return Registration(found.uri, known or email)


def _refusal(what: str, problem: messages.Error, challenge: Challenge | None = None) -> AuthorityRefused:
    """What the authority says, with what can be done about it."""
    detail = problem.detail or problem.title or problem.description or str(problem.typ)
    problems = [detail, *(one.detail for one in problem.subproblems or () if one.detail)]
    code = problem.code or ""
    return AuthorityRefused(
        f"{what}: {'; '.join(problems)}"[:1000],
        words=json.dumps(problem.to_json(), indent=2, ensure_ascii=True),
        remedy=remedy_for(code, challenge.kind if challenge is not None else ""),
        code=code,
    )


def _reason(failure: BaseException) -> str:
    """The innermost words of a failure: the library packs one into another."""
    seen = failure
    while True:
        inner: Any = getattr(seen, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((one for one in seen.args if isinstance(one, BaseException)), None)
        if inner is None:
            words = getattr(seen, "strerror", None) or str(seen) or type(seen).__name__
            return str(words)[:300]
        seen = inner


def _file_of(pem: str) -> str:
    """A file that only this user can read, since requests takes authorities from files alone."""
    descriptor, path = tempfile.mkstemp(prefix="acme-", suffix=".pem")
    with os.fdopen(descriptor, "w") as file:
        file.write(pem)
    return path


def _jwk(key_pem: bytes) -> JWK:
    key = load_pem_private_key(key_pem, None)
    if isinstance(key, rsa.RSAPrivateKey):
        return JWKRSA(key=key)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return JWKEC(key=key)
    raise OperatorError("The account key is neither RSA nor elliptic curve", field="data", allowed="RSA, P-256, P-384")


def _algorithm(key: JWK) -> JWASignature:
    if isinstance(key, JWKRSA):
        return RS256
    sizes = {256: ES256, 384: ES384, 521: ES512}
    return sizes[key.key.key_size]


def key_from_jwk(text: bytes) -> Any:
    """The private key of a JSON Web Key, as certbot keeps one. Raises `OperatorError`."""
    try:
        return JWK.json_loads(text).key._wrapped
    except (JoseError, ValueError, AttributeError) as failure:
        raise OperatorError(
            "The upload is no account key", field="data", allowed="a private key in PEM, or a JSON Web Key"
        ) from failure
