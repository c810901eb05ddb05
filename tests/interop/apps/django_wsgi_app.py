"""Some of the interop routes in Django, as a WSGI application."""

import hashlib

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

# Without the middleware for CSRF a form needs no token.
settings.configure(
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="only for tests",
)
django.setup()


def query(request):
    return JsonResponse({"path": request.path, "query": request.GET.dict()})


def form(request):
    return JsonResponse(request.POST.dict())


def upload(request):
    file = request.FILES["file"]
    digest = hashlib.sha256(file.read()).hexdigest()
    answer = {"name": file.name, "size": file.size, "sha256": digest}
    return JsonResponse(answer)


def large(request):
    return HttpResponse(request.body, content_type="text/plain")


def stream(request):
    pieces = (f"piece {number}\n" for number in range(5))
    return StreamingHttpResponse(pieces, content_type="text/plain")


def cookies(request):
    response = JsonResponse({"cookies": 2})
    response.set_cookie("one", "1")
    response.set_cookie("two", "2")
    return response


def boom(request):
    raise RuntimeError("boom on purpose")


urlpatterns = [
    path("json", query),
    path("form", form),
    path("upload", upload),
    path("large", large),
    path("stream", stream),
    path("cookies", cookies),
    path("boom", boom),
]
app = get_wsgi_application()
