"""How clients reach pipelines: each door maps its wire onto engine sessions."""
