"""Where services answer that said 202: the token that came with the question is the permission."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from apps.events.errors import DomainError, Invalid
from apps.registry import services
from apps.registry.checks.hooks import BadAnswer

MOST_BYTES = 64 * 1024


@csrf_exempt
@require_POST
def check_callback(request: HttpRequest, token: str) -> HttpResponse:
    """Take a verdict, once. Answers problem details for a token nobody waits for, and for bad JSON.

    No session is looked at, so there is nothing to forge a request with.
    """
    try:
        run = services.answer_callback(token=token, body=request.read(MOST_BYTES + 1))
    except BadAnswer as error:
        return _problem(Invalid(str(error)), path=error.path)
    except DomainError as error:
        return _problem(error)
    return JsonResponse({"check": run.name, "verdict": run.verdict})


def _problem(error: DomainError, path: str = "") -> HttpResponse:
    body = {
        "type": f"urn:switchyard:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        **({"errors": [{"path": path, "detail": error.detail}]} if path else {}),
    }
    return JsonResponse(body, status=error.status, content_type="application/problem+json")
