"""The rollout's page, while it moves."""

from django.template.loader import render_to_string

from apps.accounts.live import LivePage, Picture
from apps.deployments import charts
from apps.deployments.selectors import get_rollout
from apps.deployments.views import actions_for, timeline, view_of


class RolloutPage(LivePage):
    """State, steps, verdicts, timeline and charts of one rollout."""

    def picture(self) -> Picture | None:
        """The page as it is now, or None a little after its end."""
        rollout = get_rollout(self.scope["url_route"]["kwargs"]["rollout_id"])
        view = view_of(rollout)
        if view["ended"]:
            return None
        view["actions"] = actions_for(rollout, self.principal)
        context = {"rollout": rollout, "view": view, "events": timeline(rollout)}
        fragments = {
            "rollout-state": render_to_string("deployments/_state.html", context),
            "rollout-actions": render_to_string("deployments/_actions.html", context),
            "rollout-steps": render_to_string("deployments/_steps.html", context),
            "rollout-verdicts": render_to_string("deployments/_verdicts.html", context),
            "rollout-timeline": render_to_string("components/timeline.html", context),
            "rollout-ribbon": view["ribbon_words"],
        }
        moving = {"chart-share": charts.share(rollout)}
        for chart in view["charts"]:
            fragments[f"words-{chart.slug}"] = chart.words
            moving[chart.element_id] = chart.data
        return {"fragments": fragments, "charts": moving}
