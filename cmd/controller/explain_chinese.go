package main

import "gitlab.gf.com.cn/clickeggs/drover/pkg/reconcile"

var chineseExplanations = map[reconcile.Code]explanation{}
