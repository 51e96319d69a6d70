"""The endpoint's page, while it moves."""

from django.template.loader import render_to_string

from apps.accounts.live import LivePage, Picture
from apps.routing import panels
from apps.routing.selectors import get_endpoint
from apps.routing.views import live_context


class EndpointPage(LivePage):
    """State, split, policy and every panel of one endpoint."""

    def picture(self) -> Picture:
        """The page as it is now."""
        endpoint = get_endpoint(self.scope["url_route"]["kwargs"]["name"])
        context = live_context(endpoint)
        moving = panels.pieces(endpoint)
        moving["fragments"]["endpoint-state"] = render_to_string("routing/_state.html", context)
        moving["fragments"]["endpoint-policy"] = render_to_string("routing/_policy.html", context)
        moving["fragments"]["endpoint-split"] = render_to_string("routing/_split.html", context)
        return moving
