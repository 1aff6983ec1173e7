"""A token for scripts."""

from drf_spectacular.utils import extend_schema
from rest_framework.authtoken.serializers import AuthTokenSerializer
from rest_framework.authtoken.views import ObtainAuthToken
from rest_framework.request import Request
from rest_framework.response import Response

from labeling.api.serializers import TokenSerializer


class TokenView(ObtainAuthToken):
    """Log-in and password in, token out. Open to everybody: what a token may do is its person's role."""

    authentication_classes = ()

    @extend_schema(request=AuthTokenSerializer, responses=TokenSerializer, auth=[])
    def post(self, request: Request) -> Response:
        return super().post(request)
