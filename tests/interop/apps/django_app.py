"""The interop routes, written the Django way, in one file.

Django has no lifespan and no background tasks of its own; those routes
are not here, and the feature table of the tests says so.
"""

import asyncio
import gc
import hashlib
import json
from contextvars import ContextVar
from pathlib import Path

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path
from django.views.decorators.http import require_http_methods
from django.views.static import serve

STATIC = Path(__file__).parent / "static"
NOTE = ContextVar("note", default="unset")
CLOSED: list[str] = []

settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
)
django.setup()


async def json_view(request):
    if request.method == "POST":
        return JsonResponse(json.loads(request.body))
    query = request.GET.dict()
    return JsonResponse({"path": request.path, "query": query})


def item(request, item_id):  # not async: Django calls it in a thread
    return JsonResponse({"id": item_id})


async def form(request):
    return JsonResponse(request.POST.dict())


async def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256(file.read()).hexdigest()
    answer = {"name": file.name, "size": file.size, "sha256": digest}
    return JsonResponse(answer)


async def large(request):
    return HttpResponse(request.body, content_type="text/plain")


async def stream(request):
    async def pieces():
        for number in range(5):
            await asyncio.sleep(0)
            yield f"piece {number}\n"

    return StreamingHttpResponse(pieces(), content_type="text/plain")


async def sse(request):
    async def events():
        for number in range(3):
            yield f"data: {number}\n\n"

    return StreamingHttpResponse(events(), content_type="text/event-stream")


async def sse_forever(request):
    async def events():
        try:
            while True:
                yield "data: tick\n\n"
                await asyncio.sleep(0.02)
        finally:
            CLOSED.append(request.GET["name"])

    return StreamingHttpResponse(events(), content_type="text/event-stream")


async def closed(request):
    # If send() raises because the client has gone, Django drops the
    # generator without closing it; the garbage collector finds it.
    gc.collect()
    return JsonResponse(CLOSED, safe=False)


async def boom(request):
    raise RuntimeError("boom on purpose")


async def cookies(request):
    response = JsonResponse({"cookies": 2})
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


async def slash(request):
    return JsonResponse({"slash": True})


async def ctx_set(request):
    NOTE.set(request.GET["v"])
    size = len(request.body)
    return JsonResponse({"note": NOTE.get(), "size": size})


async def ctx_get(request):
    return JsonResponse({"note": NOTE.get()})


def static_file(request, name):
    return serve(request, name, document_root=STATIC)


get = require_http_methods(["GET", "HEAD"])
post = require_http_methods(["POST"])
urlpatterns = [
    path("json", json_view),
    path("items/<int:item_id>", get(item)),
    path("form", post(form)),
    path("upload", post(upload)),
    path("large", post(large)),
    path("stream", get(stream)),
    path("sse", get(sse)),
    path("sse-forever", get(sse_forever)),
    path("closed", get(closed)),
    path("boom", get(boom)),
    path("static/<str:name>", get(static_file)),
    path("cookies", get(cookies)),
    path("slash/", get(slash)),
    path("ctx/set", ctx_set),
    path("ctx/get", get(ctx_get)),
]
app = get_asgi_application()
