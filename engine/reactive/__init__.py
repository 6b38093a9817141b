"""reactivex both ways: its operators as nodes, and pipelines as operators of its chains."""
