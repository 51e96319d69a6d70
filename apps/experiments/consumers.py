"""The experiment's page, while it moves."""

from django.template.loader import render_to_string

from apps.accounts.live import LivePage, Picture
from apps.experiments.selectors import get_experiment
from apps.experiments.views import live_context


class ExperimentPage(LivePage):
    """State and live counts of one experiment."""

    def picture(self) -> Picture:
        """The page as it is now."""
        context = live_context(get_experiment(self.scope["url_route"]["kwargs"]["experiment_id"]))
        return {
            "fragments": {
                "experiment-state": render_to_string("experiments/_state.html", context),
                "experiment-arms": render_to_string("experiments/_arms.html", context),
            }
        }
