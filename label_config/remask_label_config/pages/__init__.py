"""The labelling pages that remask writes for Label Studio."""
