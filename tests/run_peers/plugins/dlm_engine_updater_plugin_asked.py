"""A plugin of 1.0.5 that answers what its configuration says, a phase's beginning or end: `no`, or with an error. See W30."""

from dlm_engine_updater.plugin import DlmEnginePluginBase


class DlmEnginePlugin(DlmEnginePluginBase):
    """Agrees where nothing else is said: plugin_asked_config_pre, plugin_asked_config_post."""

    def answer(self, moment):
        """What is said at this moment."""
        said = (self._config.config or {}).get(moment)
        if said == "error":
            raise RuntimeError("it is broken")
        return said != "no"

    def phase_pre_hook(self, phase, **_):
        return self.answer("pre")

    def phase_post_hook(self, phase, **_):
        return self.answer("post")
